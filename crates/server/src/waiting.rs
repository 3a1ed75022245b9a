//! How the engine blocks inside a connection's task.

use std::sync::Arc;

use ochre_env::Waiting;

/// A [`Waiting`] for an engine that runs in this server: the worker's other tasks move to another thread meanwhile.
/// On threads that are not the server's it simply blocks.
pub fn waiting() -> Arc<dyn Waiting> {
    Arc::new(BlockInPlace)
}

struct BlockInPlace;

impl Waiting for BlockInPlace {
    fn block(&self, wait: &mut dyn FnMut()) {
        tokio::task::block_in_place(wait);
    }
}
