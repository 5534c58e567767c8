//! What stands between the network and the API, opened from the settings: the listener with its certificate, the limits of
//! connections, the rules for requests.

use std::sync::Arc;

use anyhow::Result;

use crate::edge::Edge;
use crate::listener::Listener;
use crate::server::Limits;
use crate::settings::Settings;
use crate::tls::Tls;

/// All of it.
pub(crate) struct Front {
    /// Where clients connect.
    pub(crate) listener: Listener,
    /// What connections may have. A change of these needs a restart.
    pub(crate) limits: Limits,
    /// What holds for requests.
    pub(crate) edge: Arc<Edge>,
    /// The certificate of the port.
    pub(crate) tls: Option<Arc<Tls>>,
}

impl Front {
    /// Opens it.
    ///
    /// # Errors
    /// One sentence on what is wrong with which key, file or port.
    pub(crate) async fn open(settings: &Settings) -> Result<Front> {
        let edge = Edge::new(&settings.config)?;
        let limits = Limits::new(&settings.config)?;
        let tls = settings.sections.tls.as_ref().map(Tls::new).transpose()?.map(Arc::new);
        let listener = Listener::bind(&settings.config.server, tls.clone()).await?;
        Ok(Front { listener, limits, edge, tls })
    }
}

/// What of it is wrong, without opening anything: a sentence for each.
pub(crate) fn mistakes(settings: &Settings) -> Vec<String> {
    let edge = Edge::new(&settings.config).map(drop);
    let limits = Limits::new(&settings.config).map(drop);
    let tls = settings.sections.tls.as_ref().map_or(Ok(()), |tls| Tls::new(tls).map(drop));
    [edge, limits, tls].into_iter().filter_map(|found| Some(format!("{:#}", found.err()?))).collect()
}

/// Goes by other settings from now on, as far as that can be: rules for requests, and the certificate, whose files are read again. What
/// listens, and [`Limits`], stay as they are. Either all of it changes or nothing.
///
/// # Errors
/// One sentence on what is wrong with which key or file.
pub(crate) fn follow(edge: &Edge, tls: Option<&Tls>, settings: &Settings) -> Result<()> {
    // Looked at before the certificate changes.
    Edge::new(&settings.config)?;
    if let (Some(tls), Some(files)) = (tls, &settings.sections.tls) {
        tls.follow(files)?;
    }
    edge.follow(&settings.config)
}
