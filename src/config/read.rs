//! Files that are read whole, and never waited for for long.
//!
//! A path may lead to a pipe (`<(...)` of a shell), and a pipe to somebody who writes nothing
//! and does not end. Neither the start of the process nor its end may hang on that.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

/// How long whoever writes into a pipe has for all of it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes that are asked for at a time.
const CHUNK: usize = 64 << 10;

/// Reads a file up to its end, or until it is found to have more than `limit` bytes.
///
/// # Errors
///
/// The system's; [`ErrorKind::TimedOut`] if the end of a pipe does not come in time.
pub fn read_whole(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.is_file() {
        file.take(limit + 1).read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    let end = Instant::now() + PATIENCE;
    while bytes.len() as u64 <= limit {
        let start = bytes.len();
        bytes.resize(start + CHUNK, 0);
        let len = read_some(&file, &mut bytes[start..], end)?;
        bytes.truncate(start + len);
        if len == 0 {
            break;
        }
    }
    Ok(bytes)
}

/// Reads what there is once there is something; 0 at the end.
fn read_some(mut file: &File, buffer: &mut [u8], end: Instant) -> io::Result<usize> {
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).unwrap_or_default();
        // Asked before the first read, which would take a pipe that nobody has opened yet
        // for one at its end.
        let ready = match poll(&mut [PollFd::new(file, PollFlags::IN)], Some(&left)) {
            Ok(ready) => ready,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        if ready == 0 {
            let words = "it is no file but a pipe, whose end does not come";
            return Err(io::Error::new(ErrorKind::TimedOut, words));
        }
        match file.read(buffer) {
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::path::PathBuf;

    use super::*;

    /// A pipe's path, as a shell gives it for `<(...)`.
    fn path(pipe: &impl AsRawFd) -> PathBuf {
        format!("/proc/self/fd/{}", pipe.as_raw_fd()).into()
    }

    #[test]
    fn files_and_pipes_are_read_to_their_end_or_limit() {
        let this = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/read.rs"));
        let text = std::fs::read(this).unwrap();
        assert_eq!(read_whole(this, 1 << 20).unwrap(), text);
        assert_eq!(read_whole(this, 9).unwrap().len(), 10);
        assert!(read_whole(Path::new("/"), 9).is_err());

        let (reader, mut writer) = io::pipe().unwrap();
        let at = path(&reader);
        let sender = std::thread::spawn({
            let text = text.repeat(20);
            move || writer.write_all(&text)
        });
        assert_eq!(read_whole(&at, 1 << 20).unwrap(), text.repeat(20));
        sender.join().unwrap().unwrap();
        drop(reader);
    }

    #[test]
    fn a_pipe_without_end_is_given_up() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"half").unwrap();
        let error = read_whole(&path(&reader), 1 << 20).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        // It may be given up earlier, as too long.
        writer.write_all(b"more").unwrap();
        assert!(read_whole(&path(&reader), 3).unwrap().len() > 3);
    }
}
