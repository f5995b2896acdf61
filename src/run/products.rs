//! The products of a run: one writer per product and format, fed plane by plane.

use std::path::PathBuf;

use crate::{
    beam::Beam,
    config::Config,
    cube::{self, Beams, CubeSpec, CubeWriter, Product, Start},
    error::Result,
    mask::Mask,
};

/// Writers of all products of a run.
pub(super) struct Products {
    writers: Vec<(Product, Box<dyn CubeWriter>)>,
}

/// Beams that the products' headers carry.
pub(super) struct ProductBeams {
    /// Fitted to each channel's PSF.
    pub fitted: Vec<Option<Beam>>,
    /// Of the restored images, where it is the same for all.
    pub restored: Option<Beam>,
}

impl Products {
    /// Starts all products; none has its final name before [`Products::finish`].
    pub fn create(config: &Config, spec: &CubeSpec) -> Result<Self> {
        let mut writers = Vec::new();
        for &product in &config.products {
            for &format in &config.formats {
                let (name, replaces) = (&config.imagename, config.replaces());
                let writer =
                    cube::create(name, product, format, spec, Start::New { overwrite: replaces })?;
                writers.push((product, writer));
            }
        }
        Ok(Self { writers })
    }

    /// Whether a product is asked for.
    pub fn has(&self, product: Product) -> bool {
        self.writers.iter().any(|(p, _)| *p == product)
    }

    /// Writes a channel's plane of a product in every format asked for, or in none.
    pub fn write(
        &self,
        product: Product,
        channel: usize,
        values: &[f32],
        valid: Option<&Mask>,
    ) -> Result<()> {
        for (_, writer) in self.writers.iter().filter(|(p, _)| *p == product) {
            writer.write_plane(0, channel, values, valid)?;
        }
        Ok(())
    }

    /// Completes all products and gives them their names. Products are completed at the same time, a
    /// thread each: what takes time is waiting for the disk.
    pub fn finish(self, beams: &ProductBeams) -> Result<Vec<PathBuf>> {
        let fitted = Beams::PerPlane(beams.fitted.clone());
        let restored = beams.restored.map_or_else(|| fitted.clone(), Beams::Common);
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .writers
                .into_iter()
                .map(|(product, writer)| {
                    let beams = if product == Product::Psf { &fitted } else { &restored };
                    scope.spawn(move || writer.finish(beams))
                })
                .collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, Result<PathBuf>>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        })
    }
}
