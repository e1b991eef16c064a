use std::sync::mpsc;

use super::*;

/// A writer that does what it is told, one step for each call.
struct Scripted {
    steps: mpsc::Receiver<Step>,
    written: Arc<Mutex<Vec<u8>>>,
}

enum Step {
    /// Takes everything.
    All,
    /// Takes so much.
    Some(usize),
    /// Fails.
    Fail(io::ErrorKind),
    /// From now on it takes everything.
    Works,
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match self.steps.recv() {
            Ok(Step::All | Step::Works) | Err(_) => bytes.len(),
            Ok(Step::Some(count)) => count,
            Ok(Step::Fail(kind)) => return Err(kind.into()),
        };
        self.written.lock().unwrap().extend(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Setup {
    queue: Queue,
    steps: mpsc::Sender<Step>,
    written: Arc<Mutex<Vec<u8>>>,
}

fn setup(capacity: usize) -> Setup {
    let (steps, receiver) = mpsc::channel();
    let written = Arc::<Mutex<Vec<u8>>>::default();
    let writer = Scripted {
        steps: receiver,
        written: Arc::clone(&written),
    };
    let tell = |count: u64, why: &str| format!("dropped {count}: {why}\n");
    Setup {
        queue: Queue::start(writer, capacity, tell).unwrap(),
        steps,
        written,
    }
}

impl Setup {
    /// Everything that is written in the end, when the writer does what it is told and then works.
    fn finish(self) -> String {
        drop(self.steps);
        assert!(self.queue.flush(Duration::from_mins(1)));
        String::from_utf8(self.written.lock().unwrap().clone()).unwrap()
    }
}

#[test]
fn lines_are_written_in_order() {
    let setup = setup(1000);
    let lines: Vec<_> = (0..20).map(|line| format!("{line}\n")).collect();
    for line in &lines {
        setup.queue.push(line);
    }
    assert_eq!(setup.finish(), lines.concat());
}

#[test]
fn a_writer_that_stands_still_costs_a_bounded_queue_and_what_was_dropped_is_said_once() {
    let setup = setup(40);
    // The thread takes the first line, and then waits within the writer.
    setup.queue.push("first\n");
    let begun = Instant::now();
    while !setup.queue.shared.state().lines.is_empty() {
        thread::yield_now();
    }
    for line in 0..1000 {
        setup.queue.push(&format!("{line:09}\n"));
    }
    assert!(begun.elapsed() < Duration::from_secs(30), "pushing waits");
    assert_eq!(setup.queue.dropped(), 996);
    assert!(!setup.queue.flush(Duration::from_millis(1)));
    assert_eq!(
        setup.finish(),
        "first\n000000000\n000000001\n000000002\n000000003\n\
         dropped 996: the reader of the log is too slow\n"
    );
}

#[test]
fn a_disk_that_is_full_is_said_once_when_it_has_room_again() {
    let setup = setup(1000);
    setup.steps.send(Step::All).unwrap();
    setup.queue.push("before\n");
    assert!(setup.queue.flush(Duration::from_mins(1)));
    // The half of a line, and then no more; twice.
    setup.steps.send(Step::Some(4)).unwrap();
    setup
        .steps
        .send(Step::Fail(io::ErrorKind::StorageFull))
        .unwrap();
    setup
        .steps
        .send(Step::Fail(io::ErrorKind::StorageFull))
        .unwrap();
    setup.queue.push("lost 1\nlost 2\n");
    while setup.queue.dropped() < 2 {
        thread::yield_now();
    }
    setup.queue.push("after\n");
    let shared = Arc::clone(&setup.queue.shared);
    setup.steps.send(Step::Works).unwrap();
    let written = setup.finish();
    assert_eq!(written, "before\nlost\ndropped 3: no storage space\n");
    assert_eq!(shared.state().untold, 0);
}

#[test]
fn a_pipe_that_is_full_for_a_moment_loses_nothing() {
    let setup = setup(1000);
    setup.steps.send(Step::Some(2)).unwrap();
    setup
        .steps
        .send(Step::Fail(io::ErrorKind::WouldBlock))
        .unwrap();
    setup
        .steps
        .send(Step::Fail(io::ErrorKind::WouldBlock))
        .unwrap();
    setup.queue.push("whole\n");
    setup.queue.push("too\n");
    assert_eq!(setup.finish(), "whole\ntoo\n");
}

#[test]
fn the_thread_ends_with_its_queue_though_the_writer_is_broken() {
    let setup = setup(1000);
    for _ in 0..100 {
        setup
            .steps
            .send(Step::Fail(io::ErrorKind::BrokenPipe))
            .unwrap();
    }
    setup.queue.push("lost\n");
    let shared = Arc::downgrade(&setup.queue.shared);
    drop(setup.queue);
    let begun = Instant::now();
    while shared.strong_count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(30), "it goes on");
        thread::yield_now();
    }
}
