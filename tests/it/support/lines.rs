//! The access log of an application, line by line.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::{eventually, lock};

/// Where an application writes its access log; clones are the same log.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// All lines so far of requests for `path`.
    pub(crate) fn of(&self, path: &str) -> Vec<Value> {
        let text = lock(&self.0).clone();
        let whole = text.split_inclusive(|byte| *byte == b'\n');
        whole
            .filter(|line| line.ends_with(b"\n"))
            .map(|line| serde_json::from_slice::<Value>(line).unwrap())
            .filter(|line| line["path"] == path)
            .collect()
    }

    /// The line of the only request for `path`, once it is there.
    pub(crate) async fn only(&self, path: &str) -> Value {
        eventually(path, || !self.of(path).is_empty()).await;
        let mut lines = self.of(path);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        lines.remove(0)
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
