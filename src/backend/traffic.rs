//! Bytes that cross between host and device, by what they are for.

/// What crosses between host and device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cargo {
    /// Visibilities with their weights and places on the uv grid; predicted visibilities.
    Visibilities,
    /// Image planes and uv grids.
    Planes,
    /// Clean masks.
    Masks,
    /// Peaks and clean components.
    Components,
    /// Everything else: parameters and tables of shaders.
    Parameters,
}

impl Cargo {
    /// All kinds, in the order of the flow.
    pub const ALL: [Self; 5] =
        [Self::Visibilities, Self::Planes, Self::Masks, Self::Components, Self::Parameters];

    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Visibilities => "visibilities",
            Self::Planes => "planes",
            Self::Masks => "masks",
            Self::Components => "components",
            Self::Parameters => "parameters",
        }
    }

    /// The cargo of a buffer, by its label. Labels are all that a transfer's place in the code has to
    /// say, so that nothing can cross uncounted; what no word here fits is a parameter.
    pub(super) fn of_label(label: &str) -> Self {
        const WORDS: [(&str, Cargo); 10] = [
            // First, as masks have tiles too.
            ("mask", Cargo::Masks),
            ("peak", Cargo::Components),
            ("component", Cargo::Components),
            ("visibilit", Cargo::Visibilities),
            ("samples", Cargo::Visibilities),
            ("rows", Cargo::Visibilities),
            ("tiles", Cargo::Visibilities),
            ("plane", Cargo::Planes),
            ("image", Cargo::Planes),
            ("grid", Cargo::Planes),
        ];
        let word = WORDS.iter().find(|(word, _)| label.contains(word));
        word.map_or(Self::Parameters, |(_, cargo)| *cargo)
    }
}

/// Bytes that crossed, by cargo and direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    to_device: [u64; Cargo::ALL.len()],
    to_host: [u64; Cargo::ALL.len()],
}

impl Traffic {
    /// Bytes of a cargo from host to device.
    pub fn to_device(&self, cargo: Cargo) -> u64 {
        self.to_device[cargo as usize]
    }

    /// Bytes of a cargo from device to host.
    pub fn to_host(&self, cargo: Cargo) -> u64 {
        self.to_host[cargo as usize]
    }

    /// Bytes from host to device, and from device to host.
    pub fn totals(&self) -> (u64, u64) {
        (self.to_device.iter().sum(), self.to_host.iter().sum())
    }

    /// Notes bytes from host to device.
    pub fn add_to_device(&mut self, cargo: Cargo, bytes: u64) {
        self.to_device[cargo as usize] += bytes;
    }

    /// Notes bytes from device to host.
    pub fn add_to_host(&mut self, cargo: Cargo, bytes: u64) {
        self.to_host[cargo as usize] += bytes;
    }

    /// Adds another's bytes.
    pub fn add(&mut self, other: &Self) {
        for i in 0..Cargo::ALL.len() {
            self.to_device[i] += other.to_device[i];
            self.to_host[i] += other.to_host[i];
        }
    }

    /// What crossed since `earlier`.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = *self;
        for i in 0..Cargo::ALL.len() {
            difference.to_device[i] = self.to_device[i].saturating_sub(earlier.to_device[i]);
            difference.to_host[i] = self.to_host[i].saturating_sub(earlier.to_host[i]);
        }
        difference
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_say_what_crosses() {
        for (label, cargo) in [
            ("predicted visibilities", Cargo::Visibilities),
            ("rows", Cargo::Visibilities),
            ("uv grids", Cargo::Planes),
            ("planes", Cargo::Planes),
            ("masks", Cargo::Masks),
            ("mask tiles", Cargo::Masks),
            ("tiles", Cargo::Visibilities),
            ("peaks", Cargo::Components),
            ("params", Cargo::Parameters),
        ] {
            assert_eq!(Cargo::of_label(label), cargo, "{label}");
        }
        assert!(Cargo::ALL.iter().enumerate().all(|(i, &c)| c as usize == i));
    }

    #[test]
    fn traffic_adds_and_subtracts() {
        let mut first = Traffic::default();
        first.add_to_device(Cargo::Masks, 3);
        let mut later = first;
        later.add_to_device(Cargo::Masks, 4);
        later.add_to_host(Cargo::Components, 5);
        let since = later.since(&first);
        assert_eq!((since.to_device(Cargo::Masks), since.to_host(Cargo::Components)), (4, 5));
        first.add(&since);
        assert_eq!(first, later);
        assert_eq!(first.totals(), (7, 5));
    }
}
