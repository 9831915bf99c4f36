//! System calls of processes, counted by the kernel's tracepoint through `perf`.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::fault::Fault;
use crate::process::find_program;

/// A counter that waits to be switched on. `perf` attaches before the measured window,
/// so that only the window pays.
pub struct Counter {
    perf: Child,
    control: File,
    answers: File,
    output: PathBuf,
}

impl Counter {
    /// Attaches to processes. `None` where `perf` or the tracepoint cannot be had.
    pub fn attach(pids: &[u32], folder: &Path) -> Option<Self> {
        let pids: Vec<String> = pids.iter().map(u32::to_string).collect();
        let (control, answers) = (folder.join("control"), folder.join("answers"));
        let output = folder.join("syscalls");
        for fifo in [&control, &answers] {
            let _ = fs::remove_file(fifo);
            let made = Command::new("mkfifo").arg(fifo).status().ok()?;
            made.success().then_some(())?;
        }
        // Opened for both directions, so that no side waits for the other.
        let open = |path: &Path| OpenOptions::new().read(true).write(true).open(path).ok();
        let (to_perf, from_perf) = (open(&control)?, open(&answers)?);
        let mut perf = Command::new(find_program("perf"))
            .args([
                "stat",
                "-x",
                ",",
                "-D",
                "-1",
                "-e",
                "raw_syscalls:sys_enter",
            ])
            .arg("-o")
            .arg(&output)
            .arg(format!(
                "--control=fifo:{},{}",
                control.display(),
                answers.display()
            ))
            .args(["-p", &pids.join(",")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        if !matches!(perf.try_wait(), Ok(None)) {
            return None;
        }
        Some(Self {
            perf,
            control: to_perf,
            answers: from_perf,
            output,
        })
    }

    /// Starts to count.
    pub fn enable(&mut self) -> Result<(), Fault> {
        self.tell("enable\n")
    }

    /// Ends the count and returns it.
    pub fn finish(mut self) -> Result<u64, Fault> {
        self.tell("disable\n")?;
        let id = self.perf.id().to_string();
        Command::new("kill").args(["-INT", &id]).status()?;
        self.perf.wait()?;
        let text = fs::read_to_string(&self.output)?;
        text.lines()
            .find(|line| line.contains("sys_enter"))
            .and_then(|line| match line.split(',').next()? {
                // It made none.
                "<not counted>" => Some(0),
                count => count.parse().ok(),
            })
            .ok_or_else(|| Fault::Surprise(format!("perf counted nothing: {text}")))
    }

    fn tell(&mut self, command: &str) -> Result<(), Fault> {
        self.control.write_all(command.as_bytes())?;
        let mut answer = [0; 16];
        let len = self.answers.read(&mut answer)?;
        match answer[..len].starts_with(b"ack") {
            true => Ok(()),
            false => Err(Fault::Surprise("perf does not answer".to_owned())),
        }
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.perf.kill();
        let _ = self.perf.wait();
    }
}
