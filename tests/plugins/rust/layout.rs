// SPDX-License-Identifier: 0BSD
//
// Prints the layout of the structs that annals_rusty.rs mirrors, as tests/abi/check_abi.py prints that of annals_plugin.h.
#![allow(dead_code)]
#[path = "annals_rusty.rs"]
mod plugin;
use std::mem::{align_of, size_of, MaybeUninit};
use std::ptr::addr_of;

fn size_of_pointee<T>(_: *const T) -> usize {
    size_of::<T>()
}

macro_rules! layout {
    ($name:ident: $($member:ident),+) => {{
        let there = MaybeUninit::<plugin::$name>::uninit();
        let base = there.as_ptr();
        println!("struct {} size {} align {}", stringify!($name), size_of::<plugin::$name>(), align_of::<plugin::$name>());
        $({
            let member = unsafe { addr_of!((*base).$member) };
            println!("  {} {} {}", member as usize - base as usize, size_of_pointee(member), stringify!($member));
        })+
    }};
}

fn main() {
    layout!(annals_error: struct_size, code, system_code, reserved, message);
    layout!(annals_notice: struct_size, code, severity, system_code, reserved, message);
    layout!(annals_batch: struct_size, lines, bytes, count, first_sequence, now_us);
    layout!(annals_position: segment, offset);
    layout!(annals_segment: struct_size, path, number);
    layout!(annals_option: name, text, text_bytes, kind, reserved);
    layout!(annals_host: struct_size, abi_major, abi_minor, file_mode, host_version, log_path, options, options_count,
            option_size, context, notice);
    layout!(annals_sink_functions: struct_size, create, write, sync, reopen, position, start_segment, destroy, last_error);
    layout!(annals_archiver_functions: struct_size, create, archive, destroy, last_error);
    layout!(annals_identity: magic, identity_size, descriptor_size, reserved_size, abi_major, abi_minor, capabilities, name,
            version, license, compiler, reserved);
    layout!(annals_plugin_descriptor: identity, sink, archiver);
}
