//! What is taken over from an earlier run, and the model that cleaning starts from.

use std::path::PathBuf;

use crate::{
    config::{Parameters, Restart},
    cube::Product,
    error::{Error, Result},
};

/// Whether to continue from existing products. tclean's default does so silently; here it has to be said,
/// by `restart`, or by leaving the PSF or the residual as it is.
pub(super) fn restart(p: &Parameters, products: &[Product]) -> Result<Restart> {
    let said = p.given().any(|(name, _)| name == "restart");
    let (restart, calcpsf, calcres) = (p.flag("restart")?, p.flag("calcpsf")?, p.flag("calcres")?);
    let earlier_needed = !calcpsf || !calcres;
    let refuse = |name: &str, problem: &str, remedy: &str| {
        Err(Error::parameter(name, p.text(name), problem, remedy))
    };
    let skipped = if calcpsf { "calcres=false" } else { "calcpsf=false" };
    if !restart && earlier_needed {
        let problem = format!("leaves nothing that {skipped} could take over");
        return refuse("restart", &problem, "leave it out, or leave calcpsf and calcres out");
    }
    let continues = (said && restart) || earlier_needed;
    if continues && p.flag("overwrite")? {
        let with = if earlier_needed { skipped } else { "restart=true" };
        let problem = format!("means to start anew, but {with} to continue from what is there");
        return refuse("overwrite", &problem, "leave one of them out: both replace the products");
    }
    let written = |product| products.contains(&product);
    if continues && written(Product::Model) != written(Product::Residual) {
        let problem = "names one of model and residual only: of what remains under this name, they would no \
                       longer belong to each other";
        return refuse("products", problem, "name both of them, or neither");
    }
    let startmodel = Some(p.text("startmodel")).filter(|name| !name.is_empty()).map(PathBuf::from);
    if startmodel.is_some() && !calcres {
        let problem = "is not in the residual that calcres=false takes over";
        return refuse("startmodel", problem, "leave calcres out");
    }
    Ok(Restart { continues, calcpsf, calcres, startmodel })
}
