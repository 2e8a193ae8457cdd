//! Memlets.
//!
//! `src_subset`, `dst_subset` and `num_accesses` repeat what `subset`, `other_subset` and `volume` say. They
//! are written for DaCe's viewers and not read. `is_data_src` is read: it is the only thing that tells the
//! ends apart when both are the same container.

use serde_json::{Map, Value};

use crate::diag::Result;
use crate::ir::{Memlet, Wcr};

use super::json::{
    Element, Within, flag, keep, keep_beside, optional_flag, optional_text, unexpected, unknown,
};
use super::read::Reader;
use super::write::{Writer, object, set, with_beside, with_extra};

impl Reader {
    /// `{"type": "Memlet", "attributes": {...}}`.
    pub(super) fn memlet(&mut self, value: Value) -> Result<Memlet> {
        let Element { class, attributes, beside } = Element::of(value)?;
        if class != "Memlet" {
            return Err(unknown("memlet", &class, &["Memlet"]));
        }
        let mut memlet = Memlet::default();
        for (key, value) in attributes {
            self.memlet_property(&mut memlet, &key, value).within(|| key)?;
        }
        keep_beside(&mut memlet.extra, beside);
        Ok(memlet)
    }

    fn memlet_property(&mut self, memlet: &mut Memlet, key: &str, value: Value) -> Result<()> {
        match key {
            "data" => memlet.data = optional_text(value)?.map(|name| self.name(&name)),
            "subset" => memlet.subset = self.subset(value)?,
            "other_subset" => memlet.other_subset = self.subset(value)?,
            "wcr" => memlet.wcr = optional_text(value)?.map(|text| Wcr { text, code: None }),
            "dynamic" => memlet.dynamic = flag(value)?,
            "is_data_src" => memlet.is_data_src = optional_flag(value)?,
            // A volume is informative; one that is no integer expression is kept as it is.
            "volume" => match self.expression(&value) {
                Ok(volume) => memlet.volume = Some(volume),
                Err(_) if value.is_string() || value.is_number() => {
                    keep(&mut memlet.extra, key.into(), value)?
                }
                Err(_) => return Err(unexpected("a symbolic expression", &value)),
            },
            "src_subset" | "dst_subset" | "num_accesses" => {}
            _ => keep(&mut memlet.extra, key.into(), value)?,
        }
        Ok(())
    }
}

impl Writer<'_> {
    /// A memlet.
    pub(super) fn memlet(&mut self, memlet: &Memlet) -> Value {
        let mut attributes = Map::new();
        if let Some(volume) = memlet.volume {
            let volume = self.expression(volume);
            set(&mut attributes, "volume", volume);
        }
        if memlet.dynamic {
            set(&mut attributes, "dynamic", true);
        }
        let subset = memlet.subset.as_ref().map(|subset| self.subset(subset));
        let other = memlet.other_subset.as_ref().map(|subset| self.subset(subset));
        for (key, subset) in [("subset", &subset), ("other_subset", &other)] {
            if let Some(subset) = subset {
                set(&mut attributes, key, subset.clone());
            }
        }
        if let Some(data) = memlet.data {
            set(&mut attributes, "data", self.name(data));
        }
        if let Some(wcr) = &memlet.wcr {
            set(&mut attributes, "wcr", wcr.text.as_str());
        }
        // DaCe takes the subset for the source's as long as it does not know better.
        let (source, destination) = match memlet.is_data_src {
            Some(false) => (other, subset),
            Some(true) | None => (subset, other),
        };
        set(&mut attributes, "src_subset", source.unwrap_or_default());
        set(&mut attributes, "dst_subset", destination.unwrap_or_default());
        set(&mut attributes, "is_data_src", memlet.is_data_src.map_or(Value::Null, Value::Bool));
        let accesses = if memlet.dynamic {
            (-1).into()
        } else {
            attributes.get("volume").cloned().unwrap_or_else(|| "0".into())
        };
        set(&mut attributes, "num_accesses", accesses);
        let element =
            object([("type", "Memlet".into()), ("attributes", with_extra(attributes, &memlet.extra))]);
        with_beside(element, &memlet.extra)
    }
}
