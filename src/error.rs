//! Typed errors: each names the thing, its value, what is wrong with it, and the way out.

use std::path::{Path, PathBuf};

/// Result of every fallible operation of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, in the words of the person who has to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter's value cannot be used, whatever the data: a usage error.
    #[error("{parameter}={value}: {problem}; {remedy}")]
    Parameter {
        /// The parameter, by its tclean name where it has one.
        parameter: String,
        /// The value as the user gave it.
        value: String,
        /// What is wrong with the value.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A selection or parameter does not fit this data set.
    #[error("{parameter}={value}: {problem} in {}; {remedy}", path.display())]
    Selection {
        /// The parameter, by its tclean name.
        parameter: String,
        /// The value as the user gave it.
        value: String,
        /// The data set that was searched.
        path: PathBuf,
        /// What is wrong.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A table, column, image or file holds what we cannot use.
    #[error("{}: {what}: {problem}; {remedy}", path.display())]
    Data {
        /// The table or file.
        path: PathBuf,
        /// The column, keyword, row, header card... in it.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// The operating system refused.
    #[error("cannot {action} {}: {source}; {remedy}", path.display())]
    Io {
        /// What was tried, as a verb: "read", "create".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's own word.
        source: std::io::Error,
        /// What the user can do.
        remedy: String,
    },
    /// An output exists already.
    #[error("{}: exists already; {remedy}", path.display())]
    Exists {
        /// The product that would have been overwritten.
        path: PathBuf,
        /// What the user can do.
        remedy: String,
    },
    /// The job needs more of something than there is.
    #[error("{resource}: {needed} needed, {available} available; {remedy}")]
    Resources {
        /// "host memory", "device memory", "disk space at /x"
        resource: String,
        /// With its unit.
        needed: String,
        /// With its unit.
        available: String,
        /// What the user can do.
        remedy: String,
    },
    /// The compute device is missing, unfit, or failed.
    #[error("{device}: {problem}; {remedy}")]
    Device {
        /// The adapter or backend.
        device: String,
        /// What is wrong.
        problem: String,
        /// What the user can do.
        remedy: String,
    },
    /// A signal asked us to stop; what is finished is on disk.
    #[error("stopped by {signal}; {remedy}")]
    Stopped {
        /// Name of the signal.
        signal: String,
        /// What the user can do.
        remedy: String,
    },
}

impl Error {
    /// A parameter that cannot be used.
    pub fn parameter(
        parameter: impl Into<String>,
        value: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Parameter {
            parameter: parameter.into(),
            value: value.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A table or file that holds what we cannot use.
    pub fn data(
        path: impl AsRef<Path>,
        what: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::Data {
            path: path.as_ref().to_owned(),
            what: what.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        }
    }

    /// A failed system call, with the advice that fits its kind.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let remedy = match source.kind() {
            K::NotFound => "check the path",
            K::PermissionDenied => "check the permissions of the file and of its directory",
            K::StorageFull | K::QuotaExceeded => {
                "free space there and run it again with --resume, or give another imagename on a larger disk"
            }
            K::UnexpectedEof => "the file is truncated: copy it again from its origin",
            K::AlreadyExists => "give another name, or --overwrite",
            _ => "see the system's message",
        };
        Self::Io { action, path: path.as_ref().to_owned(), source, remedy: remedy.into() }
    }

    /// The process's exit status: 2 for usage, 3 when stopped by a signal, 1 otherwise.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Parameter { .. } => 2,
            Self::Stopped { .. } => 3,
            _ => 1,
        }
    }
}
