// SPDX-License-Identifier: Apache-2.0
//
// annals: everything that an application imports.
export module annals;

export import annals.event;
export import annals.event.text;
export import annals.options;
export import annals.json;
export import annals.sink;
export import annals.sinks.memory;
export import annals.plugin;
export import annals.config;
export import annals.logger;
export import annals.retention;
export import annals.rotation.request;
export import annals.reader;
