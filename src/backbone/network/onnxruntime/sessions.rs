//! This module keeps sessions of ONNX Runtime: one for a GPU, several for the cores of a CPU.
//!
//! A session serves one caller at a time. On a CPU the first session has all threads, so that a
//! lone picture is quick. Where several threads bring pictures at once, each thread gets a session
//! of its own. That is quicker than sharing every step of the network. A caller whose pool has one
//! thread works beside others, so it gets a session of one thread.

use crate::backbone::device::{Device, ExtractorOptions};
use crate::backbone::network::refusal::unusable_device;
use crate::error::{Choice, Error, NextStep, Result};
use ort::ep::{self, ExecutionProvider, ExecutionProviderDispatch};
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, PoisonError};

/// The most bytes that the weights of all sessions together may take. One session is always made.
const MOST_BYTES: usize = 1 << 30;

/// What sessions are made from.
pub struct Recipe {
    /// The cut model. It is empty once no more sessions can be made.
    pub model: Vec<u8>,
    /// The name of the model's input.
    pub input: String,
    /// The rows and columns of the input.
    pub size: (usize, usize),
    /// The most pictures at once.
    pub batch: usize,
    /// The device and its options.
    pub extractor: ExtractorOptions,
    /// The version of the library.
    pub version: String,
}

/// The sessions of one model. They are made when they are needed.
pub struct Sessions {
    recipe: Recipe,
    /// The number of threads of the pool that opened them.
    threads: usize,
    most: usize,
    pool: Mutex<Pool>,
    returned: Condvar,
}

/// The sessions that nobody uses, and the number of all sessions.
struct Pool {
    free: Vec<Slot>,
    made: usize,
}

struct Slot {
    session: Session,
    /// Whether this session has all threads, which are more than one.
    all_threads: bool,
}

impl Sessions {
    /// Makes the first session.
    ///
    /// # Errors
    /// [`crate::error::Kind::Io`] where the device cannot be used, [`crate::error::Kind::Model`]
    /// where the model cannot be used.
    pub fn new(mut recipe: Recipe) -> Result<Self> {
        let threads = rayon::current_num_threads();
        let most = match recipe.extractor.device {
            // One for each thread, and the first one.
            Device::Cpu if threads > 1 => {
                (threads + 1).min(MOST_BYTES / recipe.model.len().max(1)).max(1)
            }
            _ => 1,
        };
        let first = Slot { session: recipe.session(threads)?, all_threads: threads > 1 };
        if most == 1 {
            // No further session will be made, so nobody needs the model again.
            recipe.model = Vec::new();
        }
        let pool = Mutex::new(Pool { free: vec![first], made: 1 });
        Ok(Sessions { recipe, threads, most, pool, returned: Condvar::new() })
    }

    /// Returns what the sessions are made from.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// Runs `work` with a session that nobody else uses at the same time.
    pub fn with<T>(&self, work: impl FnOnce(&mut Session) -> Result<T>) -> Result<T> {
        let mut slot = self.take()?;
        let result = work(&mut slot.session);
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        // The pool hands out its last session first. So a lone caller always gets the first
        // session.
        let at = if slot.all_threads { pool.free.len() } else { 0 };
        pool.free.insert(at, slot);
        drop(pool);
        self.returned.notify_one();
        result
    }

    fn take(&self) -> Result<Slot> {
        let works_beside_others = rayon::current_num_threads() == 1;
        let suits = |slot: &Slot| !(works_beside_others && slot.all_threads);
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(at) = pool.free.iter().rposition(suits) {
                return Ok(pool.free.remove(at));
            }
            if pool.made < self.most {
                pool.made += 1;
                drop(pool);
                let threads = self.threads.div_ceil(self.most);
                let made = self.recipe.session(threads).inspect_err(|_| {
                    self.pool.lock().unwrap_or_else(PoisonError::into_inner).made -= 1;
                });
                return Ok(Slot { session: made?, all_threads: false });
            }
            if let Some(slot) = pool.free.pop() {
                return Ok(slot);
            }
            pool = self.returned.wait(pool).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Recipe {
    /// Loads the model for the device.
    fn session(&self, threads: usize) -> Result<Session> {
        let providers = self.providers()?;
        let on_gpu = !providers.is_empty();
        let broken = |e: String| match on_gpu {
            true => self.cannot_use(&e),
            false => Error::model(format!("ONNX Runtime refuses the model: {e}")).advise(
                "models/export.py writes backbones that fit; the device tract may take this one",
            ),
        };
        let prepared = (|| -> std::result::Result<SessionBuilder, ort::Error> {
            let builder = Session::builder()?
                .with_intra_threads(threads)?
                .with_inter_threads(1)?
                // Threads that wait in a loop take the cores away from decoding and matching.
                .with_intra_op_spinning(false)?;
            if !on_gpu {
                return Ok(builder);
            }
            // Otherwise the CPU would silently compute what the GPU cannot.
            Ok(builder.with_disable_cpu_fallback()?.with_execution_providers(providers)?)
        })();
        let mut builder = prepared.map_err(|e| broken(e.to_string()))?;
        builder.commit_from_memory(&self.model).map_err(|e| broken(e.to_string()))
    }

    /// Returns the providers that the device needs. The list is empty for the CPU.
    fn providers(&self) -> Result<Vec<ExecutionProviderDispatch>> {
        let extractor = &self.extractor;
        let index = i32::try_from(extractor.index).map_err(|_| {
            Error::choice(Choice::DeviceIndex, format!("{} is too large", extractor.index))
        })?;
        // One fixed choice of algorithm gives the same features every time. With full 32-bit products, they are those
        // of the CPU.
        let cuda = ep::CUDA::default()
            .with_device_id(index)
            .with_tf32(extractor.tf32)
            .with_conv_algorithm_search(ep::cuda::ConvAlgorithmSearch::Heuristic);
        match extractor.device {
            Device::Cuda => {
                self.require(&cuda, "CUDA")?;
                Ok(vec![cuda.build().error_on_failure()])
            }
            Device::TensorRt => {
                self.require(&ep::TensorRT::default(), "TensorRT")?;
                self.require(&cuda, "CUDA")?;
                let (height, width) = self.size;
                let shape = |batch| format!("{}:{batch}x3x{height}x{width}", self.input);
                let mut tensorrt = ep::TensorRT::default()
                    .with_device_id(index)
                    .with_fp16(extractor.fp16)
                    .with_engine_cache(true)
                    .with_engine_cache_path(self.tensorrt_cache()?.display());
                if self.batch > 1 {
                    tensorrt = tensorrt
                        .with_profile_min_shapes(shape(1))
                        .with_profile_opt_shapes(shape(self.batch))
                        .with_profile_max_shapes(shape(self.batch));
                }
                Ok(vec![tensorrt.build().error_on_failure(), cuda.build().error_on_failure()])
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Refuses a library that was built without support for the device.
    fn require(&self, provider: &impl ExecutionProvider, name: &str) -> Result<()> {
        match provider.is_available() {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.cannot_use(&format!("this library was built without {name}"))),
            Err(e) => Err(self.cannot_use(&e.to_string())),
        }
    }

    fn cannot_use(&self, why: &str) -> Error {
        let (word, needs) = match self.extractor.device {
            Device::TensorRt => {
                ("tensorrt", "CUDA, cuDNN and TensorRT of the versions that it names, ")
            }
            _ => ("cuda", "CUDA and cuDNN of the versions that it names, "),
        };
        // The text before this marker names a place in the library's source.
        let why = why.rsplit("[ONNXRuntimeError] : ").next().unwrap_or(why).trim();
        unusable_device(format!("device {word} cannot be used (ONNX Runtime {}): {why}", self.version))
        .advise(format!(
            "it needs an NVIDIA GPU that nvidia-smi shows, {needs}and an ONNX Runtime with GPU support \
             (`pip install onnxruntime-gpu`, or the gpu archive of its releases; on a Jetson, NVIDIA's own \
             package), named by the option onnxruntime; the device cpu runs without"
        ))
    }

    /// Returns the folder for TensorRT's engines of this model, batch and precision. The folder is
    /// separate because TensorRT does not notice when these differ.
    fn tensorrt_cache(&self) -> Result<PathBuf> {
        let folder = match &self.extractor.tensorrt_cache {
            Some(folder) => folder.clone(),
            None => cache_folder().ok_or_else(|| {
                unusable_device("there is no folder to keep TensorRT's engines in").next(
                    NextStep::Choose(Choice::TensorRtCache, "a folder that can be written".into()),
                )
            })?,
        };
        let mut hash = blake3::Hasher::new();
        hash.update(&self.model);
        hash.update(
            format!(
                "{} {} {} {}",
                self.batch, self.extractor.fp16, self.extractor.tf32, self.version
            )
            .as_bytes(),
        );
        let folder = folder.join(&hash.finalize().to_hex()[..16]);
        std::fs::create_dir_all(&folder)
            .map_err(|e| Error::io(&folder, "the folder cannot be made", &e))?;
        Ok(folder)
    }
}

fn cache_folder() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
    Some(base.join("hetmm/tensorrt"))
}
