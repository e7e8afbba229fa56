//! HAProxy's admin socket (its Management Guide, 9.3): what changes a gateway that runs, without a reload.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// The largest weight that HAProxy knows.
pub const LARGEST_WEIGHT: u16 = 256;
/// A gateway that has not answered a command after this long hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server that a gateway sends requests to, as the gateway sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Server {
    /// The backend that it belongs to, such as `auth-core` or `:sample`.
    pub backend: String,
    /// The part that it leads to, such as `auth1`.
    pub part: String,
    /// Its name in the backend, such as `auth1` or `sample1:8080`.
    pub name: String,
    /// `UP`, `DOWN`, `MAINT`, `DRAIN` and so on (HAProxy's Management Guide, 9.1).
    pub status: String,
    /// Its share of the requests, in proportion to the others'.
    pub weight: u16,
}

/// What the socket answers to a command.
///
/// # Errors
/// When nobody listens there, breaks off, or says nothing for five seconds.
pub async fn admin(socket: &Path, command: &str) -> Result<String> {
    timeout(PATIENCE, ask(socket, command))
        .await
        .with_context(|| format!("the gateway at {} does not answer", socket.display()))?
}

async fn ask(socket: &Path, command: &str) -> Result<String> {
    let mut stream = UnixStream::connect(socket)
        .await
        .with_context(|| format!("no gateway listens at {}", socket.display()))?;
    stream.write_all(format!("{command}\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// The statistics of all servers, and of nothing else.
const OF_SERVERS: &str = "show stat -1 4 -1";

impl Server {
    /// Whether it gets requests. One that is not checked does.
    pub fn is_up(&self) -> bool {
        matches!(self.status.as_str(), "UP" | "no")
    }
}

/// All servers of a gateway.
///
/// # Errors
/// When the gateway does not answer.
pub async fn servers(socket: &Path) -> Result<Vec<Server>> {
    Ok(in_statistics(&admin(socket, OF_SERVERS).await?))
}

/// The sum of a column of the statistics (HAProxy's Management Guide, 9.1), such as `scur`, over all servers that lead to `part`.
///
/// # Errors
/// When the gateway does not answer, or there is no such column.
pub async fn count(socket: &Path, part: &str, column: &str) -> Result<u64> {
    let csv = admin(socket, OF_SERVERS).await?;
    let mut lines = csv.lines().map(fields);
    let names = lines.next().unwrap_or_default();
    let number = names.iter().position(|name| name == column);
    let number = number.with_context(|| format!("the statistics have no column {column}"))?;
    let of_part = lines.filter(|fields| {
        let name = fields.get(1).and_then(|name| name.split(':').next());
        name == Some(part)
    });
    Ok(of_part
        .filter_map(|fields| fields.get(number)?.parse::<u64>().ok())
        .sum())
}

/// The servers of a table of statistics (HAProxy's Management Guide, 9.1), whose first line names its columns.
fn in_statistics(csv: &str) -> Vec<Server> {
    let mut lines = csv.lines().map(fields);
    let names = lines.next().unwrap_or_default();
    lines
        .filter_map(|fields| {
            let column = |name: &str| {
                let number = names.iter().position(|column| column == name)?;
                fields.get(number)
            };
            let name = column("svname")?.clone();
            Some(Server {
                backend: column("# pxname")?.clone(),
                // A route names its servers with their ports.
                part: name.split(':').next()?.to_owned(),
                // With how many checks it has passed, while that is not all of them.
                status: column("status")?.split(' ').next()?.to_owned(),
                // Not `weight`, which is lower while a server starts slowly.
                weight: column("uweight")?.parse().ok()?,
                name,
            })
        })
        .collect()
}

/// A line of CSV, whose fields may be quoted.
fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().expect("there is one").push(other),
        }
    }
    fields
}

/// Gives all servers of a gateway that lead to `part` this weight: their share of the requests, in proportion to the others'.
/// Answers how many there are.
///
/// # Errors
/// When the gateway does not answer, or refuses.
pub async fn set_weight(socket: &Path, part: &str, weight: u16) -> Result<usize> {
    ensure!(
        weight <= LARGEST_WEIGHT,
        "a weight is from 0 (no new requests) to {LARGEST_WEIGHT}"
    );
    let servers = admin(socket, "show servers conn").await?;
    let mut count = 0;
    for server in servers.lines().filter_map(|line| line.split(' ').next()) {
        let Some((_, name)) = server.split_once('/') else {
            continue;
        };
        // A route names its servers with their ports.
        if name.split(':').next() != Some(part) {
            continue;
        }
        let refused = admin(socket, &format!("set server {server} weight {weight}")).await?;
        if !refused.trim().is_empty() {
            bail!("{server}: {}", refused.trim());
        }
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read_by_the_names_of_the_columns() {
        let csv = "# pxname,svname,last_chk,status,weight,uweight,\n\
                   auth-core,auth1,\"a, b\",UP 1/2,3,100,\n:sample,sample2:8080,,DOWN,0,10,\n\n";
        let server = |backend: &str, part: &str, name: &str, status: &str, weight| Server {
            backend: backend.into(),
            part: part.into(),
            name: name.into(),
            status: status.into(),
            weight,
        };
        assert_eq!(
            in_statistics(csv),
            [
                server("auth-core", "auth1", "auth1", "UP", 100),
                server(":sample", "sample2", "sample2:8080", "DOWN", 10),
            ]
        );
    }
}
