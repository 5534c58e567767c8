//! What stands between the network and the API: the certificate, the limits of connections, the rules for requests; opened from
//! the settings, and changed with them.

use std::sync::Arc;

use anyhow::Result;
use arc_swap::{ArcSwap, ArcSwapOption};
use sqlitrest_runtime::config::{Config, Server};

use crate::edge::{Edge, Rules};
use crate::listener::Listener;
use crate::mcp;
use crate::sections::Sections;
use crate::server::Limits;
use crate::static_files::Files;
use crate::tls::{Shown, Tls};

/// All of it.
pub struct Front {
    /// What connections may have. They are those of the start.
    pub limits: Limits,
    /// What holds for requests.
    pub edge: Edge,
    /// The names by which the administrator's port may be asked for. They are those of the start.
    pub admin_hosts: Vec<String>,
    /// The certificate of the port. Whether there is one is settled at the start.
    pub tls: Option<Arc<Tls>>,
    /// What agents may at the moment.
    pub mcp: ArcSwap<mcp::Settings>,
    /// The files beside the API, if there are any.
    pub files: ArcSwapOption<Files>,
}

/// What a [`Front`] is to be from now on.
pub struct Next {
    rules: Rules,
    shown: Option<Shown>,
    mcp: mcp::Settings,
    files: Option<Arc<Files>>,
}

impl Front {
    /// Reads what it is made of.
    ///
    /// # Errors
    /// One sentence on what is wrong with which key or file.
    pub fn new(config: &Config, sections: &Sections) -> Result<Front> {
        let edge = Edge::new(config)?;
        let limits = Limits::new(config)?;
        let tls = sections.tls.as_ref().map(Tls::new).transpose()?.map(Arc::new);
        let files = ArcSwapOption::new(files(config, sections)?);
        let mcp = ArcSwap::from_pointee(sections.mcp.clone());
        let admin_hosts = sections.admin.hosts.clone();
        Ok(Front { limits, edge, admin_hosts, tls, mcp, files })
    }

    /// Listens where `[server]` says.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub async fn listen(&self, server: &Server) -> Result<Listener> {
        Listener::bind(server, self.tls.clone()).await
    }

    /// Reads other settings, the files of the certificate included, and changes nothing.
    ///
    /// # Errors
    /// As [`Front::new`].
    pub fn prepare(&self, config: &Config, sections: &Sections) -> Result<Next> {
        // They stay as they are, and are to be in order all the same.
        Limits::new(config)?;
        let rules = self.edge.prepare(config)?;
        let shown = match (&self.tls, &sections.tls) {
            (Some(tls), Some(files)) => Some(tls.prepare(files)?),
            _ => None,
        };
        Ok(Next { rules, shown, mcp: sections.mcp.clone(), files: files(config, sections)? })
    }

    /// Goes by what was prepared: requests and handshakes that begin from now on.
    pub fn take(&self, next: Next) {
        self.edge.take(next.rules);
        self.mcp.store(Arc::new(next.mcp));
        self.files.store(next.files);
        if let (Some(tls), Some(shown)) = (&self.tls, next.shown) {
            tls.take(shown);
        }
    }
}

fn files(config: &Config, sections: &Sections) -> Result<Option<Arc<Files>>> {
    sections.static_files.as_ref().map(|section| Files::new(config, section).map(Arc::new)).transpose()
}

/// What is wrong with all of it and with what is told beside it, a sentence for each that begins with its key.
pub fn mistakes(config: &Config, sections: &Sections) -> Vec<String> {
    let edge = Edge::new(config).map(drop);
    let limits = Limits::new(config).map(drop);
    let tls = sections.tls.as_ref().map_or(Ok(()), |tls| Tls::new(tls).map(drop));
    let files = files(config, sections).map(drop);
    let headers = sections.telemetry.check_headers();
    let wrong = [edge, limits, tls, files, headers]
        .into_iter()
        .filter_map(|found| Some(format!("{:#}", found.err()?)));
    let own = Some(&config.server.unix_socket).filter(|path| !path.is_empty());
    let admin = sections.admin.unix_socket.as_ref().filter(|path| !path.is_empty());
    let sockets = [("server.unix_socket", own), ("admin.unix_socket", admin)];
    let sockets = sockets.into_iter().filter_map(|(key, path)| Some((key, Listener::socket_mistake(path?)?)));
    wrong.chain(sockets.map(|(key, wrong)| format!("{key}: {wrong}"))).collect()
}
