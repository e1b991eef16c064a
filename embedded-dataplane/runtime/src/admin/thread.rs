//! Sites on a thread of their own, so that nobody who asks holds up what the process is there for.

use std::io;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use super::page::Site;
use super::server::{Limits, serve};
use crate::tasks::{Panics, Tasks};

/// Sites that are served by a thread of their own. When it is dropped they end soon.
#[derive(Debug)]
pub struct Server {
    /// Asks the thread to end when it is dropped.
    end: oneshot::Sender<()>,
    /// Tells that it has ended.
    ended: oneshot::Receiver<()>,
}

impl Server {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// When the system gives none, or does not let go of a listener.
    pub fn start(
        sites: impl IntoIterator<Item = (TcpListener, Site)>,
        limits: Limits,
        panics: &Panics,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let here = |(listener, site): (TcpListener, Site)| {
            let listener = listener.into_std()?;
            // Whose runtime a listener is in is decided where it is made.
            let _within = runtime.enter();
            Ok((TcpListener::from_std(listener)?, site))
        };
        let sites = sites.into_iter().map(here);
        let sites = sites.collect::<io::Result<Vec<_>>>()?;
        let tasks = Tasks::new(panics);
        let (end, asked) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let work = move || {
            runtime.block_on(async {
                for (listener, site) in sites {
                    tasks.spawn(site.name(), serve(listener, site, limits));
                }
                // An error is that its sender is gone, which means the same.
                let _ = asked.await;
                tasks.stop().await;
            });
            drop(runtime);
            drop(ending);
        };
        thread::Builder::new()
            .name("admin".to_owned())
            .spawn(work)?;
        Ok(Self { end, ended })
    }

    /// Ends all sites, and waits until nobody accepts from their listeners any more.
    pub async fn stop(self) {
        drop(self.end);
        // An error is that its sender is gone, which is what is waited for.
        let _ = self.ended.await;
    }
}
