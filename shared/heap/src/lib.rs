//! Keeps the memory that was freed from staying with the process, where the C library is glibc.
//!
//! It is a crate of its own so that all others forbid unsafe code.

/// Configures the C library to keep less freed memory. Must be called before other threads start.
///
/// Each release replaces one of the same size. glibc spreads its parts over an arena for each thread, between memory in use, and takes
/// ever larger buffers from there once one of their size was freed. With one arena, and large buffers apart (mallopt(3)), a process
/// that has read eight releases of 10,000 versions holds a fifth less.
pub fn keep_together() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "a call to the C library")]
    // SAFETY: mallopt takes two numbers; it is called while there is one thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES);
    }
}

/// Buffers of this size are taken from the operating system one by one: the default of glibc before it adapts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const LARGE_BYTES: libc::c_int = 128 << 10;

/// Returns free pages to the operating system, where the C library keeps them: glibc holds memory that was freed below memory in
/// use. This may take some milliseconds for each 100 MB, in which other threads wait to allocate.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "a call to the C library")]
    // SAFETY: malloc_trim takes no pointer and leaves everything in use as it is; any thread may call it (glibc manual: MT-Safe).
    unsafe {
        libc::malloc_trim(0);
    }
}

#[cfg(test)]
mod tests {
    /// Resident memory in bytes (proc(5), `VmRSS`).
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").expect("Linux says");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }

    #[test]
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn memory_freed_below_what_is_in_use_is_returned() {
        let many: Vec<Vec<u8>> = (0..64_000).map(|number| vec![number as u8; 1024]).collect();
        let last = vec![1_u8; 1024];
        let before = resident();
        drop(many);
        super::trim();
        let after = resident();
        assert!(after + (48 << 20) < before, "{before} {after}");
        assert_eq!(last.len(), 1024);
    }
}
