//! Sites on a thread of their own, so that nobody who asks holds up what the process is there for.

use std::convert::Infallible;
use std::io;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot, watch};

use super::page::Site;
use super::server::{Limits, serve_until};
use crate::tasks::{Panics, Tasks};

/// Sites that are served by a thread of their own. When it is dropped they end soon, whoever is being
/// answered.
#[derive(Debug)]
pub struct Server {
    /// Asks the thread to end when it is dropped.
    _end: oneshot::Sender<()>,
    /// Lets the sites accept.
    begin: watch::Sender<bool>,
    /// Asks the sites to accept no more.
    close: watch::Sender<bool>,
    /// Ends when they do not.
    accepting: mpsc::Receiver<Infallible>,
    /// Tells that the thread has ended.
    ended: oneshot::Receiver<()>,
}

impl Server {
    /// Starts the thread, which accepts nobody before [`Self::begin`].
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
        let (begin, mut beginning) = watch::channel(false);
        let (close, closing) = watch::channel(false);
        let (accepts, accepting) = mpsc::channel(1);
        let work = move || {
            runtime.block_on(async {
                // An error is that its sender is gone, and then all ends.
                if beginning.wait_for(|begins| *begins).await.is_err() {
                    return;
                }
                for (listener, site) in sites {
                    let (mut closing, accepts) = (closing.clone(), accepts.clone());
                    let close = async move {
                        // An error is that its sender is gone, and then all ends.
                        let _ = closing.wait_for(|is_closed| *is_closed).await;
                        accepts
                    };
                    let name = site.name();
                    tasks.spawn(name, serve_until(listener, site, limits, close));
                }
                drop(accepts);
                tokio::select! {
                    // An error is that its sender is gone, which means the same.
                    _ = asked => {}
                    () = tasks.ended() => {}
                }
                tasks.stop().await;
            });
            // Not held up by what a page has others compute.
            runtime.shutdown_background();
            drop(ending);
        };
        thread::Builder::new()
            .name("admin".to_owned())
            .spawn(work)?;
        Ok(Self {
            _end: end,
            begin,
            close,
            accepting,
            ended,
        })
    }

    /// Has whoever connects be answered, those too who connected before.
    pub fn begin(&self) {
        self.begin.send_replace(true);
    }

    /// Waits until nobody accepts from the listeners any more. Those who were accepted are answered.
    pub async fn close(&mut self) {
        self.close.send_replace(true);
        self.accepting.recv().await;
    }

    /// Waits until everybody is answered, after [`Self::close`].
    pub async fn answered(&mut self) {
        // An error is that its sender is gone, which is what is waited for.
        let _ = (&mut self.ended).await;
    }
}
