//! Resource usage of processes, from `/proc`.

use std::fs;

use serde::Serialize;

/// Linux reports process times in hundredths of a second, independent of its own clock.
const TICK_MILLIS: u64 = 10;

/// Returns the CPU time of a process so far, in milliseconds; 0 when the process is gone.
pub fn cpu_millis(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name stands in parentheses and may contain anything; user and system time are fields 12 and 13 after it.
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = after_name.split_whitespace().skip(11).take(2);
    times.filter_map(|word| word.parse::<u64>().ok()).sum::<u64>() * TICK_MILLIS
}

/// Returns the CPU time of all processes so far, in milliseconds of one core.
pub fn machine_millis() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let first = stat.lines().next().unwrap_or_default();
    let words: Vec<u64> = first.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, (idle, iowait), irq, softirq
    [0, 1, 2, 5, 6].iter().filter_map(|index| words.get(*index)).sum::<u64>() * TICK_MILLIS
}

/// Returns the child processes of this process, with their names.
pub fn children() -> Vec<(u32, String)> {
    let own = std::process::id();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let child = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        (field("PPid:")?.parse() == Ok(own)).then(|| (pid, field("Name:").unwrap_or_default().to_owned()))
    };
    pids.filter_map(child).collect()
}

/// Returns the load average of the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Resident memory.
    pub resident: u64,
    /// Part of it that is pages of the program and its libraries: clean, and shared with every process that runs it.
    pub program: u64,
    /// Peak of the resident memory.
    pub peak: u64,
}

impl Memory {
    /// Reads the memory of a process; 0 when the process is gone.
    pub fn of(pid: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
        };
        Self { resident: field("VmRSS:"), program: field("RssFile:"), peak: field("VmHWM:") }
    }
}
