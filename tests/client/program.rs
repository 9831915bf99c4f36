//! A command that runs: what it is given, and what it says.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use crate::common::*;

/// A run of `tidegate`.
pub struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

/// What a run has left.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Program {
    /// Starts a command with the gateway's address in its environment.
    pub fn start(addr: &str, args: &[&str]) -> Program {
        Program::start_in(&[("TIDEGATE_URL", &format!("ws://{addr}/"))], args)
    }

    /// Starts a command with these variables, and without those of whoever runs the tests.
    pub fn start_in(environment: &[(&str, &str)], args: &[&str]) -> Program {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"TIDEGATE_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .env_remove("SSL_CERT_FILE")
            .env("TZ", "XST-1:30")
            .envs(environment.iter().copied())
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let out = lines(child.stdout.take().expect("it is piped"));
        let err = lines(child.stderr.take().expect("it is piped"));
        Program {
            stdin: child.stdin.take(),
            child,
            out,
            err,
        }
    }

    /// Gives it this on standard input, and no more.
    pub fn give(&mut self, text: &str) {
        let mut stdin = self.stdin.take().expect("it is given once");
        stdin.write_all(text.as_bytes()).expect("it reads");
    }

    /// The next line on standard output.
    #[track_caller]
    pub fn line(&self) -> String {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("no line comes ({error}); it said {:?}", rest(&self.err)),
        }
    }

    /// The next line of an event, without the time, whose form is looked at.
    #[track_caller]
    pub fn event(&self) -> String {
        let line = self.line();
        let (time, rest) = line.split_once(' ').expect("a time");
        let shape: String = time
            .chars()
            .map(|c| if c.is_ascii_digit() { '0' } else { c })
            .collect();
        assert_eq!(shape, "00:00:00.000", "{line}");
        rest.to_owned()
    }

    /// Waits for a line on standard error with this in it.
    #[track_caller]
    pub fn wait_for_words(&self, words: &str) -> String {
        loop {
            match self.err.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(words) => return line,
                Ok(_) => {}
                Err(error) => panic!("{words:?} is not said ({error})"),
            }
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("our child");
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        drop(self.stdin.take());
        let start = Instant::now();
        let out = whole(&self.out);
        let err = whole(&self.err);
        while self.child.try_wait().expect("our child").is_none() {
            assert!(start.elapsed() < PATIENCE, "it does not end");
            std::thread::yield_now();
        }
        Ended {
            code: self.child.wait().expect("our child").code(),
            out,
            err,
        }
    }

    /// Waits for its end, which must be a good one; what it wrote on standard output.
    #[track_caller]
    pub fn output(self) -> String {
        let ended = self.end();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.err, "", "{ended:?}");
        ended.out
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of a pipe as they come.
fn lines(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) {
            if sender.send(line.trim_end_matches('\n').to_owned()).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

/// All that comes until the end.
#[track_caller]
fn whole(lines: &Receiver<String>) -> String {
    let mut text = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                text.push_str(&line);
                text.push('\n');
            }
            Err(RecvTimeoutError::Disconnected) => return text,
            Err(RecvTimeoutError::Timeout) => panic!("it does not end; it said {text}"),
        }
    }
}

fn rest(lines: &Receiver<String>) -> Vec<String> {
    lines.try_iter().collect()
}
