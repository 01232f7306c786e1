#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tenet_sockets::fuzz::uri(input));
