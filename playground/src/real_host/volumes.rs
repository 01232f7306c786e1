//! Volumes of the host: folders of this machine, which every node sees.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::{api, real_node::RealNodeError};

const PATH: &str = "/api/v1/persistentvolumes";
/// Number of volumes that are free at any time.
const FREE: usize = 4;
const INTERVAL: Duration = Duration::from_millis(500);

/// Keeps some volumes free for claims without a class, until the task ends. A volume that was released is removed with
/// its folder.
pub(super) fn offer(client: Client, dir: &Path) -> Result<JoinHandle<()>, RealNodeError> {
    let dir = dir.join("volumes");
    fs::create_dir(&dir).map_err(|source| RealNodeError::File { path: dir.clone(), source })?;
    Ok(tokio::spawn(async move {
        let mut made = 0;
        loop {
            // The API server may be stopped for a while.
            drop(keep(&client, &dir, &mut made).await);
            tokio::time::sleep(INTERVAL).await;
        }
    }))
}

async fn keep(client: &Client, dir: &Path, made: &mut usize) -> Result<(), api::ApiError> {
    let list = api::get(client, PATH).await?.unwrap_or_default();
    let phase = |volume: &Value| volume["status"]["phase"].as_str().unwrap_or("Available").to_owned();
    let all = list["items"].as_array().cloned().unwrap_or_default();
    let ours = all.iter().filter(|volume| {
        volume["spec"]["hostPath"]["path"].as_str().is_some_and(|path| Path::new(path).starts_with(dir))
    });
    let mut free = 0;
    for volume in ours {
        match phase(volume).as_str() {
            "Available" | "Pending" => free += 1,
            "Released" => {
                let name = volume["metadata"]["name"].as_str().unwrap_or_default();
                api::delete(client, &format!("{PATH}/{name}")).await?;
                // A folder that cannot be removed goes with the folder of the host.
                drop(fs::remove_dir_all(dir.join(name)));
            }
            _ => {}
        }
    }
    for _ in free..FREE {
        *made += 1;
        let name = format!("volume-{made}");
        let Ok(folder) = folder(dir, &name) else { return Ok(()) };
        api::apply(client, &format!("{PATH}/{name}"), &volume(&name, &folder)).await?;
    }
    Ok(())
}

/// Creates a folder that every user of a container may write to.
fn folder(dir: &Path, name: &str) -> std::io::Result<PathBuf> {
    let folder = dir.join(name);
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777))?;
    Ok(folder)
}

fn volume(name: &str, folder: &Path) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "10Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": folder},
        },
    })
}
