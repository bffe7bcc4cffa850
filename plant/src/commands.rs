//! Carries out what needs no network: checks, users, the set-up code.

use crate::Cli;
use crate::certificate;
use crate::mqtt::Secrets;
use crate::output::print;
use crate::web;
use crate::web::users::Users;
use clap::CommandFactory;
use hetmm::error::{Error, Result};
use hetmm::line::config::LineConfig;
use hetmm::line::control::{self, PlantUser};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

/// Prints a script that completes options and commands.
pub fn completions(shell: clap_complete::Shell) -> Result<ExitCode> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Cli::command(), "hetmm-plant", &mut script);
    print(String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
}

/// Writes the manual pages.
pub fn manuals(folder: &Path) -> Result<ExitCode> {
    let failed = |e| Error::io(folder, "the manual pages cannot be written", &e);
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a certificate for the page, and prints its fingerprint.
pub fn make_certificate(config: &LineConfig, names: &[String]) -> Result<ExitCode> {
    let fingerprint = certificate::make(config, names)?;
    print(format_args!(
        "SHA-256 fingerprint: {fingerprint}\n\nWrite it down. A browser warns of this certificate once. Compare the \
         fingerprint that it shows before you accept it.\n"
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints a code for the first engineer.
pub fn setup(config: &LineConfig) -> Result<ExitCode> {
    let users = Users::new(&config.web.users);
    if !users.list()?.is_empty() {
        return Err(Error::usage("there are users already").advise(
            "an engineer makes further ones on the page; `hetmm-plant user reset NAME` removes one",
        ));
    }
    print_code(config)
}

fn print_code(config: &LineConfig) -> Result<ExitCode> {
    // A certificate that cannot be read is said before there is a code.
    let fingerprint = web::fingerprint(config)?;
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let code = web::setup::new_code(&config.web.users, unix.as_secs())?;
    print(format_args!(
        "{code}\n\nEnter this code on the page, and make the first engineer. It is valid for 30 minutes.\n"
    ))?;
    if let Some(fingerprint) = fingerprint {
        print(format_args!("The page's certificate has the SHA-256 fingerprint {fingerprint}\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Lists the users.
pub fn list_users(config: &LineConfig) -> Result<ExitCode> {
    let mut text = String::new();
    for user in Users::new(&config.web.users).list()? {
        let role = serde_json::to_value(user.role).unwrap_or_default();
        // Writing to a text does not fail.
        let _ = writeln!(text, "{:<32} {}", user.name, role.as_str().unwrap_or_default());
    }
    print(text).map(|()| ExitCode::SUCCESS)
}

/// Removes a user. If it was the last engineer, a new code makes another one.
pub fn reset_user(config: &LineConfig, name: &str) -> Result<ExitCode> {
    let users = Users::new(&config.web.users);
    if users.find(name)?.is_none() {
        return Err(Error::usage(format!("there is no user {name}"))
            .advise("`hetmm-plant user list` lists them"));
    }
    if users.remove(name).is_ok() {
        print(format_args!("{name} is removed\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    users.clear()?;
    print(format_args!("{name} was the last engineer: all users are removed.\n"))?;
    print_code(config)
}

/// Checks what `hetmm-plant` needs, and prints the complete configuration.
pub fn check(config: &LineConfig) -> Result<ExitCode> {
    Secrets::read(&config.mqtt)?;
    web::check_certificate(config)?;
    Users::new(&config.web.users).list()?;
    let mut report = String::new();
    let mut is_good = true;
    let mut row = |what: &str, problem: Option<String>| {
        let word = if problem.is_some() { "WRONG" } else { "ok" };
        is_good &= problem.is_none();
        // Writing to a text does not fail.
        let _ = writeln!(
            report,
            "{word:<6} {what}{}",
            problem.map_or_else(String::new, |p| format!(": {p}"))
        );
    };
    row("configuration, certificates, keys and users", None);
    if let Some(socket) = &config.control.socket {
        let asked = control::ask(socket, "status");
        row("hetmm-edge answers", asked.err().map(|why| why.to_string()));
    }
    if let Some(inbox) = config.inbox() {
        let tried = tempfile::tempfile_in(inbox.folder());
        let words = |why: std::io::Error| format!("{}: {why}", inbox.folder().display());
        row("uploads (template.inbox)", tried.err().map(words));
    }
    if let Some(name) = &config.control.plant_user {
        let own = nix::unistd::geteuid().as_raw();
        let problem = match PlantUser::find(name, &config.control.plant_may) {
            Err(why) => Some(why.to_string()),
            Ok(found) if found.user != own => {
                Some(format!("this check runs as another user than {name}"))
            }
            Ok(_) => None,
        };
        row("control.plant_user", problem);
    }
    crate::output::say(report.trim_end());
    print(config.to_toml()?)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::from(1) })
}
