// SPDX-License-Identifier: 0BSD
//
// annals_rusty: a sink in Rust, with nothing but the standard library:
//
//   rustc --edition 2021 --crate-type cdylib -O -o annals_rusty.so annals_rusty.rs
//
// The structs mirror annals_plugin.h of ABI 2.0. No panic crosses the boundary: each function of the table runs inside
// catch_unwind. Options: path (text, required), the file to append to.
#![allow(non_camel_case_types)]
use std::cell::RefCell;
use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::mem::size_of;
use std::os::raw::{c_char, c_void};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::PathBuf;
use std::ptr;
use std::sync::Once;

// --- annals_plugin.h ----------------------------------------------------------------------------------------------------

pub const ANNALS_OK: i32 = 0;
pub const ANNALS_FAILED: i32 = 1;
pub const ANNALS_ERROR_OTHER: i32 = 0;
pub const ANNALS_ERROR_OPTIONS: i32 = 1;
pub const ANNALS_ERROR_IO: i32 = 2;
pub const ANNALS_ERROR_SYNC: i32 = 3;
pub const ANNALS_ERROR_NOT_REGULAR: i32 = 4;
pub const ANNALS_OPTION_TEXT: u32 = 4;
pub const ANNALS_OFFERS_SINK: u64 = 1;

#[repr(C)]
pub struct annals_error {
    pub struct_size: u32,
    pub code: i32,
    pub system_code: i32,
    pub reserved: u32,
    pub message: *const c_char,
}

#[repr(C)]
pub struct annals_notice {
    pub struct_size: u64,
    pub code: i32,
    pub severity: i32,
    pub system_code: i32,
    pub reserved: u32,
    pub message: *const c_char,
}

#[repr(C)]
pub struct annals_batch {
    pub struct_size: u64,
    pub lines: *const c_char,
    pub bytes: u64,
    pub count: u64,
    pub first_sequence: u64,
    pub now_us: i64,
}

#[repr(C)]
pub struct annals_position {
    pub segment: u64,
    pub offset: u64,
}

#[repr(C)]
pub struct annals_segment {
    pub struct_size: u64,
    pub path: *const c_char,
    pub number: u64,
}

#[repr(C)]
pub struct annals_option {
    pub name: *const c_char,
    pub text: *const c_char,
    pub text_bytes: u64,
    pub kind: u32,
    pub reserved: u32,
}

#[repr(C)]
pub struct annals_host {
    pub struct_size: u64,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub file_mode: u32,
    pub host_version: *const c_char,
    pub log_path: *const c_char,
    pub options: *const annals_option,
    pub options_count: u64,
    pub option_size: u64,
    pub context: *mut c_void,
    pub notice: Option<unsafe extern "C" fn(*mut c_void, *const annals_notice)>,
}

#[repr(C)]
pub struct annals_sink_functions {
    pub struct_size: u64,
    pub create: Option<unsafe extern "C" fn(*const annals_host, *mut *mut annals_sink) -> i32>,
    pub write: Option<unsafe extern "C" fn(*mut annals_sink, *const annals_batch) -> i32>,
    pub sync: Option<unsafe extern "C" fn(*mut annals_sink) -> i32>,
    pub reopen: Option<unsafe extern "C" fn(*mut annals_sink) -> i32>,
    pub position: Option<unsafe extern "C" fn(*mut annals_sink, *mut annals_position) -> i32>,
    pub start_segment: Option<unsafe extern "C" fn(*mut annals_sink, *mut annals_segment) -> i32>,
    pub destroy: Option<unsafe extern "C" fn(*mut annals_sink)>,
    pub last_error: Option<unsafe extern "C" fn(*mut annals_sink, *mut annals_error) -> i32>,
}

pub enum annals_archiver {} // this plugin makes none

#[repr(C)]
pub struct annals_archiver_functions {
    pub struct_size: u64,
    pub create: Option<unsafe extern "C" fn(*const annals_host, *mut *mut annals_archiver) -> i32>,
    pub archive: Option<unsafe extern "C" fn(*mut annals_archiver, *const annals_segment) -> i32>,
    pub destroy: Option<unsafe extern "C" fn(*mut annals_archiver)>,
    pub last_error: Option<unsafe extern "C" fn(*mut annals_archiver, *mut annals_error) -> i32>,
}

#[repr(C)]
pub struct annals_identity {
    pub magic: [u8; 8],
    pub identity_size: u32,
    pub descriptor_size: u32,
    pub reserved_size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub capabilities: u64,
    pub name: [u8; 32],
    pub version: [u8; 32],
    pub license: [u8; 32],
    pub compiler: [u8; 64],
    pub reserved: [u64; 8],
}

#[repr(C)]
pub struct annals_plugin_descriptor {
    pub identity: annals_identity,
    pub sink: Option<&'static annals_sink_functions>,
    pub archiver: Option<&'static annals_archiver_functions>,
}

const _: () = assert!(size_of::<annals_error>() == 24);
const _: () = assert!(size_of::<annals_notice>() == 32);
const _: () = assert!(size_of::<annals_batch>() == 48);
const _: () = assert!(size_of::<annals_position>() == 16);
const _: () = assert!(size_of::<annals_segment>() == 24);
const _: () = assert!(size_of::<annals_option>() == 32);
const _: () = assert!(size_of::<annals_host>() == 72);
const _: () = assert!(size_of::<annals_sink_functions>() == 72);
const _: () = assert!(size_of::<annals_archiver_functions>() == 40);
const _: () = assert!(size_of::<annals_identity>() == 256);
const _: () = assert!(size_of::<annals_plugin_descriptor>() == 272);

// --- failing ------------------------------------------------------------------------------------------------------------

struct Failure {
    code: i32,
    system_code: i32,
    message: CString,
}

impl Failure {
    fn new(code: i32, system_code: i32, message: String) -> Failure {
        let message = CString::new(message.replace('\0', "\\0")).expect("every NUL has been replaced");
        Failure { code, system_code, message }
    }

    fn system(code: i32, attempted: &str, path: &PathBuf, cause: &io::Error) -> Failure {
        let number = cause.raw_os_error().unwrap_or(0);
        Failure::new(code, number, format!("cannot {} '{}': {}", attempted, path.display(), cause))
    }
}

thread_local! {
    static CREATION: RefCell<Option<Failure>> = const { RefCell::new(None) };
}

// What a function of the table does, inside: a panic becomes a failure.
fn guarded(kept: &mut Option<Failure>, body: impl FnOnce() -> Result<(), Failure>) -> i32 {
    *kept = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => None,
        Ok(Err(failure)) => Some(failure),
        Err(_) => Some(Failure::new(ANNALS_ERROR_OTHER, 0, "annals_rusty panicked".to_string())),
    };
    if kept.is_none() { ANNALS_OK } else { ANNALS_FAILED }
}

// --- the sink -----------------------------------------------------------------------------------------------------------

struct Destination {
    path: PathBuf,
    mode: u32,
    file: Option<File>, // from the first write on
    is_torn: bool,      // the last line of the file may be incomplete
    is_lost: bool,      // a sync failed: what it was for is not durable, and no later sync makes it so
}

pub struct annals_sink {
    to: Destination,
    failed: Option<Failure>,
}

impl Destination {
    fn open(&mut self) -> Result<(), Failure> {
        let cannot = |attempted: &str, cause: io::Error| Failure::system(ANNALS_ERROR_IO, attempted, &self.path, &cause);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(self.mode);
        let mut file = options.open(&self.path).map_err(|e| cannot("open", e))?;
        let found = file.metadata().map_err(|e| cannot("examine", e))?;
        if !found.is_file() {
            let message = format!("'{}' is no regular file", self.path.display());
            return Err(Failure::new(ANNALS_ERROR_NOT_REGULAR, 0, message));
        }
        let mut last = [b'\n'];
        if found.len() > 0 {
            file.seek(SeekFrom::End(-1)).and_then(|_| file.read_exact(&mut last)).map_err(|e| cannot("read", e))?;
        }
        self.is_torn = last[0] != b'\n'; // somebody died in the middle of it
        self.file = Some(file);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let file = self.file.as_mut().expect("the file is open");
        self.is_torn = true; // until all of it is there
        file.write_all(bytes).map_err(|e| Failure::system(ANNALS_ERROR_IO, "append to", &self.path, &e))?;
        self.is_torn = false;
        Ok(())
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), Failure> {
        if lines.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.open()?;
        }
        if self.is_torn {
            self.append(b"\n")?;
        }
        self.append(lines)
    }

    fn sync(&mut self) -> Result<(), Failure> {
        if self.is_lost {
            let message = format!("an earlier sync of '{}' failed; what it was for is not durable", self.path.display());
            return Err(Failure::new(ANNALS_ERROR_SYNC, 0, message));
        }
        if let Some(Err(cause)) = self.file.as_ref().map(|file| file.sync_all()) {
            self.is_lost = true;
            return Err(Failure::system(ANNALS_ERROR_SYNC, "sync", &self.path, &cause));
        }
        Ok(())
    }

    fn bytes(&self) -> Result<u64, Failure> {
        let found = match &self.file {
            Some(file) => file.metadata(),
            None => std::fs::metadata(&self.path),
        };
        match found {
            Ok(found) => Ok(found.len()),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(cause) => Err(Failure::system(ANNALS_ERROR_IO, "examine", &self.path, &cause)),
        }
    }
}

// --- the table ----------------------------------------------------------------------------------------------------------

unsafe fn destination(host: &annals_host) -> Result<Destination, Failure> {
    let mut path = None;
    for i in 0..host.options_count {
        // The host's options may be longer than ours.
        let option = &*((host.options as *const u8).add((i * host.option_size) as usize) as *const annals_option);
        let name = CStr::from_ptr(option.name).to_string_lossy();
        if name != "path" {
            let message = format!("$.sink.{}: no such option; expected path", name);
            return Err(Failure::new(ANNALS_ERROR_OPTIONS, 0, message));
        }
        let text = std::slice::from_raw_parts(option.text as *const u8, option.text_bytes as usize);
        if option.kind == ANNALS_OPTION_TEXT && !text.is_empty() && !text.contains(&0) {
            path = Some(PathBuf::from(OsStr::from_bytes(text)));
        }
    }
    match path {
        Some(path) => Ok(Destination { path, mode: host.file_mode, file: None, is_torn: false, is_lost: false }),
        None => {
            let message = "$.sink.path: expected a text, not empty: the file to append to".to_string();
            Err(Failure::new(ANNALS_ERROR_OPTIONS, 0, message))
        }
    }
}

unsafe extern "C" fn create(host: *const annals_host, made: *mut *mut annals_sink) -> i32 {
    static QUIET: Once = Once::new();
    let mut failed = None;
    let status = guarded(&mut failed, || {
        QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {}))); // of this plugin's own copy of std: a plugin prints nothing
        let sink = annals_sink { to: destination(&*host)?, failed: None };
        *made = Box::into_raw(Box::new(sink));
        Ok(())
    });
    CREATION.with(|kept| *kept.borrow_mut() = failed);
    status
}

unsafe extern "C" fn write(sink: *mut annals_sink, batch: *const annals_batch) -> i32 {
    let annals_sink { to, failed } = &mut *sink;
    guarded(failed, || {
        let batch = &*batch;
        if batch.count == 0 {
            return Ok(());
        }
        to.write(std::slice::from_raw_parts(batch.lines as *const u8, batch.bytes as usize))
    })
}

unsafe extern "C" fn sync(sink: *mut annals_sink) -> i32 {
    let annals_sink { to, failed } = &mut *sink;
    guarded(failed, || to.sync())
}

unsafe extern "C" fn reopen(sink: *mut annals_sink) -> i32 {
    let annals_sink { to, failed } = &mut *sink;
    guarded(failed, || {
        to.file = None;
        to.is_lost = false;
        Ok(())
    })
}

unsafe extern "C" fn position(sink: *mut annals_sink, place: *mut annals_position) -> i32 {
    let annals_sink { to, failed } = &mut *sink;
    guarded(failed, || {
        *place = annals_position { segment: 1, offset: to.bytes()? };
        Ok(())
    })
}

unsafe extern "C" fn destroy(sink: *mut annals_sink) {
    if !sink.is_null() {
        drop(catch_unwind(AssertUnwindSafe(|| drop(Box::from_raw(sink)))));
    }
}

unsafe fn tell(failed: &Option<Failure>, error: *mut annals_error) -> i32 {
    match failed {
        Some(failure) => {
            (*error).code = failure.code;
            (*error).system_code = failure.system_code;
            (*error).message = failure.message.as_ptr();
            ANNALS_OK
        }
        None => ANNALS_FAILED,
    }
}

unsafe extern "C" fn last_error(sink: *mut annals_sink, error: *mut annals_error) -> i32 {
    if sink.is_null() {
        return CREATION.with(|kept| tell(&kept.borrow(), error));
    }
    tell(&(*ptr::addr_of!((*sink).failed)), error)
}

// --- the descriptor -----------------------------------------------------------------------------------------------------

const fn text<const SIZE: usize>(from: &str) -> [u8; SIZE] {
    let bytes = from.as_bytes();
    let mut to = [0; SIZE];
    let mut i = 0;
    assert!(bytes.len() < SIZE);
    while i < bytes.len() {
        to[i] = bytes[i];
        i += 1;
    }
    to
}

static FUNCTIONS: annals_sink_functions = annals_sink_functions {
    struct_size: size_of::<annals_sink_functions>() as u64,
    create: Some(create),
    write: Some(write),
    sync: Some(sync),
    reopen: Some(reopen),
    position: Some(position),
    start_segment: None,
    destroy: Some(destroy),
    last_error: Some(last_error),
};

#[no_mangle]
#[used]
#[link_section = ".annals.plugin"]
pub static annals_plugin: annals_plugin_descriptor = annals_plugin_descriptor {
    identity: annals_identity {
        magic: *b"ANNALSPL",
        identity_size: size_of::<annals_identity>() as u32,
        descriptor_size: size_of::<annals_plugin_descriptor>() as u32,
        reserved_size: 0,
        abi_major: 2,
        abi_minor: 0,
        capabilities: ANNALS_OFFERS_SINK,
        name: text("rusty"),
        version: text("0.1.0"),
        license: text("0BSD"),
        compiler: text("rustc"),
        reserved: [0; 8],
    },
    sink: Some(&FUNCTIONS),
    archiver: None,
};
