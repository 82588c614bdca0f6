// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const timeFormat = "2006-01-02T15:04:05-07:00"

func create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0600)
}

// zerologLog writes each line with one write(2).
type zerologLog struct {
	file   *os.File
	logger zerolog.Logger
}

func newZerolog(order request) (subject, error) {
	zerolog.TimestampFieldName = "ts"
	zerolog.TimeFieldFormat = timeFormat
	zerolog.TimestampFunc = func() time.Time { return time.Now().UTC() }
	file, err := create(order.path)
	if err != nil {
		return nil, err
	}
	return &zerologLog{file, zerolog.New(file)}, nil
}

func (z *zerologLog) log(of *item) {
	line := z.logger.Log().Timestamp().Str("container", of.Container).Str("action", of.Action)
	if of.Dest != nil {
		line.Str("dest", *of.Dest)
	}
	if of.Detail != nil {
		line.Str("detail", *of.Detail)
	}
	if of.Rule != nil {
		line.Uint64("rule", *of.Rule)
	}
	if of.User != nil {
		line.Str("user", *of.User)
	}
	if of.Bytes != nil {
		line.Uint64("bytes", *of.Bytes)
	}
	if of.DryRun != nil {
		line.Bool("dry_run", *of.DryRun)
	}
	line.Send()
}

func (z *zerologLog) finish() error { return z.file.Close() }

// zapLog writes each line with one write(2), or into a buffer as large as the queues of the others.
type zapLog struct {
	file   *os.File
	logger *zap.Logger
	buffer *zapcore.BufferedWriteSyncer
}

func zapWriting(file *os.File, to zapcore.WriteSyncer, buffer *zapcore.BufferedWriteSyncer) subject {
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{TimeKey: "ts", LineEnding: "\n",
		EncodeTime: func(t time.Time, to zapcore.PrimitiveArrayEncoder) { to.AppendString(t.UTC().Format(timeFormat)) }})
	return &zapLog{file, zap.New(zapcore.NewCore(encoder, to, zapcore.InfoLevel)), buffer}
}

func newZap(order request) (subject, error) {
	file, err := create(order.path)
	if err != nil {
		return nil, err
	}
	return zapWriting(file, zapcore.Lock(file), nil), nil
}

func newZapBuffered(order request) (subject, error) {
	file, err := create(order.path)
	if err != nil {
		return nil, err
	}
	buffer := &zapcore.BufferedWriteSyncer{WS: noSync{file}, Size: order.queueBytes}
	return zapWriting(file, buffer, buffer), nil
}

// noSync is a file whose Sync does nothing: the peers do not sync either.
type noSync struct{ *os.File }

func (noSync) Sync() error { return nil }

func (z *zapLog) log(of *item) {
	var room [8]zap.Field
	fields := append(room[:0], zap.String("container", of.Container), zap.String("action", of.Action))
	if of.Dest != nil {
		fields = append(fields, zap.String("dest", *of.Dest))
	}
	if of.Detail != nil {
		fields = append(fields, zap.String("detail", *of.Detail))
	}
	if of.Rule != nil {
		fields = append(fields, zap.Uint64("rule", *of.Rule))
	}
	if of.User != nil {
		fields = append(fields, zap.String("user", *of.User))
	}
	if of.Bytes != nil {
		fields = append(fields, zap.Uint64("bytes", *of.Bytes))
	}
	if of.DryRun != nil {
		fields = append(fields, zap.Bool("dry_run", *of.DryRun))
	}
	z.logger.Info("", fields...)
}

func (z *zapLog) finish() error {
	if z.buffer != nil {
		if err := z.buffer.Stop(); err != nil {
			return err
		}
	}
	return z.file.Close()
}
