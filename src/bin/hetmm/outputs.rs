//! The files that a command writes. A command claims them before its work begins, and says what is in the way.

use hetmm::files::outputs::{self, Format, Obstacle, Refusal};
use hetmm::{Error, Result};
use std::path::Path;

/// The option that says which files may be replaced.
#[derive(clap::Args, Clone, Default)]
pub struct Replace {
    /// Replace an existing file of any kind with an output. Without it, an output replaces only an earlier output of
    /// the same kind. Inputs, folders and device files are never replaced
    #[arg(long)]
    force: bool,
}

/// The outputs of one command.
pub struct Outputs {
    outputs: outputs::Outputs,
}

impl Replace {
    /// The outputs of a command that reads the files `inputs`.
    pub fn outputs<'a>(&self, inputs: impl IntoIterator<Item = &'a Path>) -> Outputs {
        let mut outputs = outputs::Outputs::new(self.force);
        outputs.reads(inputs);
        Outputs { outputs }
    }
}

impl Outputs {
    /// Says that the command reads these files, too: what is claimed from now on must not replace them.
    pub fn reads<'a>(&mut self, inputs: impl IntoIterator<Item = &'a Path>) {
        self.outputs.reads(inputs);
    }

    /// Claims a file that the command is going to write.
    ///
    /// # Errors
    /// [`hetmm::error::Kind::Usage`] where something lies there that stays.
    pub fn claim(&mut self, path: &Path, format: &Format) -> Result<()> {
        self.outputs.claim(path, format).map_err(in_words)
    }

    /// Claims a file as [`Outputs::claim`] does, if the user asked for it.
    pub fn claim_if<'a>(
        &mut self,
        path: impl Into<Option<&'a Path>>,
        format: &Format,
    ) -> Result<()> {
        path.into().map_or(Ok(()), |path| self.claim(path, format))
    }

    /// Writes a file that was claimed.
    pub fn write(&self, path: &Path, format: &Format, bytes: &[u8]) -> Result<()> {
        self.outputs.write(path, format, bytes)
    }
}

/// The error, with the next step for the user.
fn in_words(refusal: Refusal) -> Error {
    let next_step = match refusal.obstacle {
        Obstacle::Input => {
            "give another name or folder: a command never writes over a file that it reads"
        }
        Obstacle::Twice => "give each output its own name",
        Obstacle::Folder => "give the name of a file",
        Obstacle::Device | Obstacle::Pipe | Obstacle::Socket => "give the name of a file",
        Obstacle::Foreign => "give another name, or replace that file with --force",
        Obstacle::NoFolder => "create the folder, or give another name",
    };
    Error::from(refusal).advise(next_step)
}

/// Whether these bytes are a JSON object with all of these keys.
pub fn has_keys(bytes: &[u8], keys: &[&str]) -> bool {
    let value: serde_json::Result<serde_json::Value> = serde_json::from_slice(bytes);
    value.is_ok_and(|value| keys.iter().all(|key| value.get(key).is_some()))
}
