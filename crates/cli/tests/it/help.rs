//! Help, version, mistakes in the command line, completions.

use crate::program::run;

#[test]
fn the_version_is_told() {
    let said = run(&["--version"]).success();
    assert_eq!(said, format!("tidings {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn every_command_teaches_with_examples() {
    let top = run(&["--help"]).success();
    assert!(top.contains("Exit codes:"), "{top}");
    for command in crate::pages::COMMANDS {
        let help = run(&[command, "--help"]).success();
        assert!(help.contains("Examples:\n"), "{command}:\n{help}");
        let short = run(&[command, "-h"]).success();
        assert!(!short.contains("Examples:\n"), "-h of {command} is meant to be short:\n{short}");
    }
}

#[test]
fn a_mistyped_command_is_suggested() {
    let said = run(&["serv"]).failure(2);
    assert!(said.contains("'serve'"), "{said}");
    let said = run(&["dev", "--lisen", "x"]).failure(2);
    assert!(said.contains("a similar argument exists: '--listen'"), "{said}");
}

#[test]
fn without_a_command_the_help_is_shown() {
    let said = run(&[]).failure(2);
    assert!(said.contains("Usage: tidings"), "{said}");
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&["completions", shell]).success();
        for command in crate::pages::COMMANDS {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
    run(&["completions", "tcsh"]).failure(2);
}

#[test]
fn bash_completes_a_command() {
    let script = run(&["completions", "bash"]).success();
    let ask = "\nCOMP_WORDS=(tidings config ch); COMP_CWORD=2; \
               _tidings tidings ch config; echo \"${COMPREPLY[@]}\"\n";
    let Ok(output) = std::process::Command::new("bash").args(["-c", &(script + ask)]).output()
    else {
        eprintln!("skipped: there is no bash here");
        return;
    };
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "check");
}
