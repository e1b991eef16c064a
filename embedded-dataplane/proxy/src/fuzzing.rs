//! What fuzz targets read the file with options with: each reader of outside text has one, and this is
//! nobody else's business.

use serde_json::Value;

use crate::options;
use crate::settings::{Settings, SettingsError};

/// What administration shows of the settings that the text of a file comes to.
///
/// # Errors
///
/// Why it comes to none, as people are told.
pub fn settings(text: &str) -> Result<Value, String> {
    let options = options::parse(text)?;
    let settings = Settings::resolve(options);
    let settings = settings.map_err(|error: SettingsError| error.to_string())?;
    Ok(settings.shown())
}
