//! Files that record a running process. They tell a process of an earlier run from another one that got the same
//! process id.

use std::{fs, io, path::Path};

use rustix::process::{Pid, Signal, kill_process_group};

/// Records a process by its id and start time.
pub(crate) fn write(path: &Path, pid: u32) -> io::Result<()> {
    fs::write(path, format!("{pid} {}\n", birth(pid).unwrap_or_default()))
}

/// Kills the recorded process and its group, if it is still alive.
pub(crate) fn kill_leftover(path: &Path) {
    if let Some(pid) = fs::read_to_string(path).ok().as_deref().and_then(same_process)
        && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
    {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Returns the recorded process id, if the process with that id is still the recorded one.
fn same_process(record: &str) -> Option<u32> {
    let (pid, recorded) = record.trim().split_once(' ')?;
    let pid = pid.parse().ok()?;
    (birth(pid)?.as_str() == recorded).then_some(pid)
}

/// Returns boot id and start tick of a process, or `None` where there is no `/proc`.
fn birth(pid: u32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The program name stands in parentheses and may contain anything; field 22 is counted from its end.
    let tick = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{}/{tick}", boot.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_process_id_is_not_taken_for_the_recorded_process() {
        let own = std::process::id();
        let birth = birth(own).expect("this process is in /proc");
        assert_eq!(same_process(&format!("{own} {birth}\n")), Some(own));
        assert_eq!(same_process(&format!("{own} {birth}0\n")), None);
        assert_eq!(same_process(&format!("{own} \n")), None);
        assert_eq!(same_process("not a record"), None);
    }
}
