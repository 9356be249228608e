//! A real Slurm on this machine: munged, slurmctld and slurmd on the loopback, in a temporary
//! folder, with ports of their own and no accounting.
use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// The daemons; ended with their jobs when dropped, also by a panic.
pub struct Cluster {
    dir: tempfile::TempDir,
    host: String,
    daemons: Vec<Child>,
}

impl Cluster {
    /// Starts the daemons; `None`, said loudly, where that cannot be.
    pub fn start() -> Option<Self> {
        if let Some(lack) = lack() {
            eprintln!("\n*** SKIPPED, NOTHING WAS TESTED: {lack} ***\n");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("ncaers-slurm-").tempdir().expect("temp dir");
        let kernel = fs::read_to_string("/proc/sys/kernel/hostname").expect("a host name");
        let host = kernel.trim().split('.').next().expect("a name").to_owned();
        let mut cluster = Cluster { dir, host, daemons: Vec::new() };
        cluster.configure();
        cluster.launch();
        Some(cluster)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn configure(&self) {
        let key: Vec<u8> = (0..1024).map(|i| (i * 7 % 251) as u8).collect();
        fs::write(self.path("key"), key).expect("key");
        chmod(&self.path("key"), 0o400);
        for name in ["state", "spool"] {
            fs::create_dir(self.path(name)).expect("folder");
        }
        let (at, host) = (self.dir.path().display(), &self.host);
        let ports = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let [control, node] = ports.map(|l| l.local_addr().expect("bound").port());
        // Jobs that are queued again may start when their old credential has expired: after 5 s.
        let text = format!(
            "ClusterName=ncaers\nSlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={control}\n\
             SlurmdPort={node}\nSlurmUser=root\nSlurmdUser=root\nAuthType=auth/munge\n\
             AuthInfo=socket={at}/munge.sock,cred_expire=5\nStateSaveLocation={at}/state\n\
             SlurmdSpoolDir={at}/spool\nSlurmctldPidFile={at}/slurmctld.pid\n\
             SlurmdPidFile={at}/slurmd.pid\nProctrackType=proctrack/linuxproc\n\
             TaskPlugin=task/none\nSelectType=select/cons_tres\nSelectTypeParameters=CR_CPU\n\
             JobAcctGatherType=jobacct_gather/none\n\
             AccountingStorageType=accounting_storage/none\nMpiDefault=none\nMailProg=/bin/true\n\
             ReturnToService=2\nKillWait=5\nSlurmdParameters=config_overrides\n\
             SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1\n\
             NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN\n\
             PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
        );
        fs::write(self.path("slurm.conf"), text).expect("slurm.conf");
    }

    fn launch(&mut self) {
        let at = self.dir.path().display().to_string();
        let own = |flag: &str, name: &str| format!("--{flag}={at}/{name}");
        let munged = [
            "--foreground".to_owned(),
            "--force".to_owned(),
            own("socket", "munge.sock"),
            own("key-file", "key"),
            own("pid-file", "munged.pid"),
            own("log-file", "munged.log"),
            own("seed-file", "munged.seed"),
        ];
        self.daemon("munged", &munged);
        wait_until("munged listens", 20, || self.path("munge.sock").exists());
        self.daemon("slurmctld", &["-D".to_owned()]);
        wait_until("slurmctld answers", 30, || self.succeeds("scontrol", &["ping"]));
        self.daemon("slurmd", &["-D".to_owned(), "-N".to_owned(), self.host.clone()]);
        wait_until("the node is idle", 60, || {
            self.says("sinfo", &["--noheader", "--format=%T"]).trim() == "idle"
        });
    }

    fn daemon(&mut self, name: &str, arguments: &[String]) {
        let log = fs::File::create(self.path(&format!("{name}.out"))).expect("log");
        let mut command = Command::new(name);
        command.args(arguments).env("SLURM_CONF", self.path("slurm.conf"));
        command.env("PATH", search_path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("log")).stderr(log);
        // SAFETY: prctl is async-signal-safe and touches only the child itself.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        self.daemons.push(command.spawn().unwrap_or_else(|e| panic!("{name}: {e}")));
    }

    /// The name of the only node.
    pub fn node(&self) -> &str {
        &self.host
    }

    /// What makes a command talk to this cluster.
    pub fn environment(&self) -> (&'static str, PathBuf) {
        ("SLURM_CONF", self.path("slurm.conf"))
    }

    fn command(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.args(arguments).env("SLURM_CONF", self.path("slurm.conf"));
        command
    }

    fn succeeds(&self, name: &str, arguments: &[&str]) -> bool {
        self.command(name, arguments).output().is_ok_and(|out| out.status.success())
    }

    /// What a command of Slurm prints.
    pub fn says(&self, name: &str, arguments: &[&str]) -> String {
        let out = self.command(name, arguments).output().unwrap_or_else(|e| panic!("{name}: {e}"));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    /// The daemons' own words, for a test that failed.
    fn tell(&self) {
        for name in ["munged", "slurmctld", "slurmd"] {
            let text = fs::read_to_string(self.path(&format!("{name}.out"))).unwrap_or_default();
            let lines: Vec<&str> = text.lines().rev().take(15).collect();
            eprintln!("--- the end of what {name} said");
            lines.iter().rev().for_each(|line| eprintln!("{line}"));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            self.tell();
        }
        // Jobs are no children of slurmd: they have to be ended first.
        self.succeeds("scancel", &["--user=root"]);
        let deadline = Instant::now() + Duration::from_secs(20);
        let busy = || !self.says("squeue", &["--noheader"]).trim().is_empty();
        while self.daemons.len() == 3 && Instant::now() < deadline && busy() {
            thread::sleep(Duration::from_millis(200));
        }
        for mut daemon in self.daemons.drain(..).rev() {
            // SAFETY: the child is ours and not yet waited for.
            unsafe { libc::kill(daemon.id() as i32, libc::SIGTERM) };
            let deadline = Instant::now() + Duration::from_secs(10);
            while Instant::now() < deadline && matches!(daemon.try_wait(), Ok(None)) {
                thread::sleep(Duration::from_millis(50));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

/// Why no cluster can be started here.
fn lack() -> Option<String> {
    // SAFETY: geteuid cannot fail and touches nothing.
    if unsafe { libc::geteuid() } != 0 {
        return Some("Slurm's daemons start as root only; run it as root".into());
    }
    let folders: Vec<PathBuf> = std::env::split_paths(&search_path()).collect();
    let is_here = |name: &&str| folders.iter().any(|folder| folder.join(name).is_file());
    let names = ["munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol"];
    let missing = names.into_iter().find(|name| !is_here(name))?;
    Some(format!("{missing} is not installed; `just test-system` installs slurm-wlm and munge"))
}

/// Daemons may lie outside a user's PATH.
fn search_path() -> String {
    format!("{}:/usr/sbin:/usr/local/sbin", std::env::var("PATH").unwrap_or_default())
}

fn chmod(path: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    fs::set_permissions(path, mode).expect("mode");
}

/// Asks again and again until it holds.
pub fn wait_until(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while !holds() {
        assert!(Instant::now() < deadline, "within {seconds} s not: {what}");
        thread::sleep(Duration::from_millis(200));
    }
}
