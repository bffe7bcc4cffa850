//! Says which template judged a part.

use super::slot::Slot;
use serde::{Serialize, Serializer};

/// Names a template so that it can be found again: by its bytes, its signer and what was taught.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TemplateIdentity {
    /// The name of its file. If a signature was checked, it is the name in the signature's trusted comment.
    pub name: String,
    /// The BLAKE3 of the file, in hexadecimal digits.
    pub blake3: String,
    /// The BLAKE3 of the file before anything was inserted. `None` if the journal does not say.
    pub base_blake3: Option<String>,
    /// The id of the key whose signature was checked. `None` if no signature is required.
    pub signer: Option<String>,
    /// The number of pictures that were inserted.
    pub journal: usize,
    /// The slot that the template is in, if the configuration has slots and it is in one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_number")]
    pub slot: Option<Slot>,
}

fn as_number<S: Serializer>(slot: &Option<Slot>, to: S) -> Result<S::Ok, S::Error> {
    slot.map(Slot::number).serialize(to)
}
