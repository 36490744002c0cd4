//! Ctrl-C as a thing that can be awaited, so that leaving a display never leaves an operation in doubt.

use tokio::sync::watch;

/// Whether the person has asked to leave. Clones share one answer.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<bool>);

/// Where interrupts come from.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// Ctrl-C of this process.
    #[default]
    CtrlC,
    /// Nowhere.
    Never,
    /// Whoever holds the other end.
    Channel(watch::Receiver<bool>),
}

impl Source {
    /// Begins to listen. From then on Ctrl-C no longer ends the process by itself: whoever listens must await it
    /// beside everything that takes time.
    pub fn listen(&self) -> Interrupt {
        let (pressed_tx, pressed_rx) = watch::channel(false);
        match self {
            Source::CtrlC => {
                tokio::spawn(async move {
                    if tokio::signal::ctrl_c().await.is_ok() {
                        pressed_tx.send_replace(true);
                    }
                });
                Interrupt(pressed_rx)
            }
            Source::Never => Interrupt(pressed_rx),
            Source::Channel(pressed_rx) => Interrupt(pressed_rx.clone()),
        }
    }
}

impl Interrupt {
    /// Whether the person has asked to leave already.
    pub fn is_pressed(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when the person asks to leave; never if nobody can. May be dropped and called again at any time.
    pub async fn pressed(&mut self) {
        if self.0.wait_for(|pressed| *pressed).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
