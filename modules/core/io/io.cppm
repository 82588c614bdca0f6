// SPDX-License-Identifier: Apache-2.0
//
// annals.io: files, processes, threads and clocks; the only place with POSIX calls. Each subject is a module of its own.
export module annals.io;
export import annals.io.calls;
export import annals.io.files;
export import annals.io.mappings;
export import annals.io.process;
export import annals.io.threads;
export import annals.io.watch;
