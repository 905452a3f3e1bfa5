//! What processes cost: CPU time and memory, as Linux counts them; and the allocator of every
//! benchmark.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the server has, so that both sides of a line have it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Linux gives the time of processes in hundredths of a second, whatever its own tick is.
const TICK: Duration = Duration::from_millis(10);

/// CPU time (user and system) that this process has used.
pub fn own_cpu() -> io::Result<Duration> {
    Ok(stat(Path::new("/proc/self"))?.own)
}

/// The parent of a process, when its program is called so: of a Postgres backend on this machine, the
/// server's first process.
pub fn parent_named(process: u32, name: &str) -> Option<u32> {
    let parent = stat(&of(process)).ok()?.parent;
    (stat(&of(parent)).ok()?.name == name).then_some(parent)
}

/// CPU time that a process and its direct children have used, also those that ended: of the first process of
/// a Postgres server, the whole server.
pub fn family_cpu(parent: u32) -> io::Result<Duration> {
    let first = stat(&of(parent))?;
    let mut sum = first.own + first.ended_children;
    for entry in std::fs::read_dir("/proc")? {
        // a process may end between being listed and being read
        if let Ok(child) = stat(&entry?.path())
            && child.parent == parent
        {
            sum += child.own;
        }
    }
    Ok(sum)
}

/// Resident memory of a process in megabytes (of 1,000,000 bytes).
#[expect(clippy::disallowed_methods, reason = "a line from memory")]
pub fn resident(process: u32) -> io::Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse::<f64>().ok())
        .map(|kilobytes| kilobytes * 1024.0 / 1e6)
        .ok_or_else(|| io::Error::other("a process without VmRSS"))
}

struct Stat {
    name: String,
    parent: u32,
    own: Duration,
    ended_children: Duration,
}

fn of(process: u32) -> PathBuf {
    Path::new("/proc").join(process.to_string())
}

#[expect(clippy::disallowed_methods, reason = "a line from memory")]
fn stat(process: &Path) -> io::Result<Stat> {
    let text = std::fs::read_to_string(process.join("stat"))?;
    // the name of the program stands in brackets and may hold anything
    let (name, rest) = text
        .split_once('(')
        .and_then(|(_, named)| named.rsplit_once(')'))
        .ok_or_else(|| io::Error::other("not a process"))?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<u32>().ok())
            .ok_or_else(|| io::Error::other("a process without times"))
    };
    Ok(Stat {
        name: name.to_owned(),
        parent: field(1)?,
        own: TICK * (field(11)? + field(12)?),
        ended_children: TICK * (field(13)? + field(14)?),
    })
}
