#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| devfile_registry_fuzz::viewer(bytes));
