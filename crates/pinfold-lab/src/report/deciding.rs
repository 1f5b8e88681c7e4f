//! The switches that an explanation names.

use pinfold::Rules;
use pinfold::rules::{SwitchInfo, VariantInfo};

use super::Report;

impl Report {
    /// The switches that WHY names, with their variants in force, in order: not every rule that
    /// decided did so in an event.
    pub fn deciding(&self) -> Vec<(&'static SwitchInfo, &'static VariantInfo)> {
        let mut found: Vec<(&SwitchInfo, &VariantInfo)> = Vec::new();
        let sentences = self.broken.iter().flat_map(|broken| &broken.why);
        for words in sentences.flat_map(|sentence| sentence.split("rule ").skip(1)) {
            let named = words.split([',', ' ', ')']).next().and_then(|named| named.split_once('='));
            let Some((switch, variant)) = named else { continue };
            let Some(switch) = Rules::switches().find(|known| known.name == switch) else {
                continue;
            };
            let variant = switch.variants.iter().find(|known| known.name == variant);
            if let Some(variant) = variant
                && found.iter().all(|(known, _)| known.name != switch.name)
            {
                found.push((switch, variant));
            }
        }
        found
    }
}
