//! Memory and CPU of a control plane at rest.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Time for which the control plane is watched at rest.
const REST: Duration = Duration::from_secs(20);

/// Prints memory and CPU of each program of the control plane at rest, of which there are at least so many.
pub fn tell(pod: &Value, programs: usize) -> Result<()> {
    let uid = pod["metadata"]["uid"].as_str().context("no UID")?;
    let before = usage(uid)?;
    std::thread::sleep(REST);
    let after = usage(uid)?;
    ensure!(after.len() >= programs, "{after:?}");
    for (process, (program, memory, ticks)) in &after {
        let ticks = ticks.saturating_sub(before.get(process).map_or(0, |(_, _, ticks)| *ticks));
        // There are 100 ticks in a second.
        let cores = f64::from(u32::try_from(ticks)?) / 100.0 / REST.as_secs_f64();
        println!("  {program}: {} MiB resident, {:.1} % of a core", memory / 1024, cores * 100.0);
    }
    Ok(())
}

/// Returns name, resident KiB and CPU ticks of each process in the containers of a pod, without those that only sleep.
fn usage(uid: &str) -> Result<BTreeMap<u32, (String, u64, u64)>> {
    let mut found = BTreeMap::new();
    for process in fs::read_dir("/proc")?.flatten() {
        let Some(id) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let read = |file: &str| fs::read_to_string(process.path().join(file)).unwrap_or_default();
        if !read("cgroup").contains(uid) {
            continue;
        }
        let (status, stat) = (read("status"), read("stat"));
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
        let memory = field("VmRSS:").split(' ').next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        // The name may hold blanks, and ends with the last parenthesis; user and system time are fields 14 and 15.
        let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks = times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
        if memory > 4 * 1024 {
            found.insert(id, (field("Name:").to_owned(), memory, ticks));
        }
    }
    Ok(found)
}
