"""Finds a Python, makes .venv, installs the pinned wheels; shared by bin/up, bin/test and bin/bench.

Only the standard library, and only words that a Python of years ago understands (no annotations, no f-strings): it must
get as far as saying which Python is needed.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
VENV = os.path.join(ROOT, ".venv")
OLDEST = (3, 11)
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")
DISK_FREE_BYTES_MIN = 1000000000
DISK_FULL = "No space left on device"


def say(sentence):
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def fail(sentence):
    say(sentence)
    sys.exit(1)


def require_python():
    """Go on in a Python that is new enough, or end with a sentence."""
    if sys.version_info >= OLDEST:
        return
    for name in NAMES:
        path = find_program(name)
        if path and starts(path):
            os.execv(path, [path] + sys.argv)
    fail("Dropfront needs Python 3.11 or newer; this is %d.%d." % sys.version_info[:2])


def find_program(name):
    """The path of a program, or None."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return None


def starts(python):
    """A version manager's shim may have the right name and still refuse to run."""
    with open(os.devnull, "w") as nowhere:
        return subprocess.call([python, "-c", ""], stdout=nowhere, stderr=nowhere) == 0


def prepare(requirements):
    """The path of a Python with the packages of that requirements file. Quick when nothing has changed.

    With DROPFRONT_PYTHON set, that interpreter is used as it is and nothing is installed.
    """
    given = os.environ.get("DROPFRONT_PYTHON")
    if given:
        return given
    import fcntl  # not at the top: Windows has none, and should be told so in words

    # One at a time: bin/up and bin/test may be started together. The lock is on the folder, so no file is left behind.
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        return install(requirements)
    finally:
        os.close(folder)


def install(requirements):
    python = os.path.join(VENV, "bin", "python")
    stamp = os.path.join(VENV, requirements + ".stamp")
    wanted = digest_of(requirements)
    if read(stamp) == wanted and os.path.exists(python):
        return python
    refuse_full_disk()
    began_at = time.time()
    if read(os.path.join(VENV, "python.stamp")) != sys.version or not os.path.exists(python):
        make_venv()
    say("Installing the packages of %s into .venv (once) ..." % requirements)
    run(
        [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
        + ["--only-binary", ":all:", "--require-hashes", "-r", os.path.join(ROOT, requirements)],
        "The packages could not be installed (is the package index reachable?)",
    )
    write(stamp, wanted)  # last, so that an interrupted installation is done again
    say("  %-34s%5.1f s" % ("Python packages", time.time() - began_at))
    return python


def digest_of(requirements):
    with open(os.path.join(ROOT, requirements), "rb") as file:
        return hashlib.sha256(file.read() + sys.version.encode()).hexdigest()


def make_venv():
    try:
        import ensurepip  # noqa: F401 - Debian ships Python without it
        import venv  # noqa: F401
    except ImportError:
        fail(
            "This Python has no venv module; install it first (on Debian or Ubuntu: apt install python%d.%d-venv)."
            % sys.version_info[:2]
        )
    run([sys.executable, "-m", "venv", "--clear", VENV], "The folder .venv could not be made")
    write(os.path.join(VENV, "python.stamp"), sys.version)


def run(command, complaint):
    """Run it quietly; if it fails, end with one sentence made of `complaint` and its last line."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    output = process.communicate()[0]
    if process.returncode == 0:
        return
    if DISK_FULL in output:
        fail("The disk is full; free some space and start again.")
    errors = [line.strip() for line in output.splitlines() if line.startswith("ERROR")]
    last = errors or [line.strip() for line in output.splitlines() if line.strip()] or ["no reason given"]
    fail("%s: %s" % (complaint, last[-1]))


def refuse_full_disk():
    facts = os.statvfs(ROOT)
    free = facts.f_bavail * facts.f_frsize
    if free < DISK_FREE_BYTES_MIN:
        fail(
            "The disk is full: %d MB are left and the packages need %d MB."
            % (free // 1000000, DISK_FREE_BYTES_MIN // 1000000)
        )


def read(path):
    try:
        with open(path) as file:
            return file.read()
    except (IOError, OSError):
        return None


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def call_beside_servers(python, command, output=None):
    """Run a command beside a PostgreSQL and a Valkey of its own, which are gone afterwards. Its exit code.

    With `output`, a file, what it prints goes there.
    """
    folder = tempfile.mkdtemp(prefix="dropfront-test-")
    os.chmod(folder, 0o711)  # root's PostgreSQL runs as nobody, who must be able to pass
    data = os.path.join(folder, "data")
    try:
        beside = [python, "-m", "embedded", "run", "--fast", "--data", data, "--"]
        return subprocess.call(beside + command, stdout=output, stderr=output and subprocess.STDOUT)
    finally:
        shutil.rmtree(folder, True)


def become(python, *arguments):
    """Go on as `python ARGUMENTS`, in the project's root folder."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.chdir(ROOT)
    os.execv(python, [python] + list(arguments))


def tidily(main):
    """Run `main`; what a person causes or must mend ends in a sentence, not in a traceback."""
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except (IOError, OSError) as error:
        if error.strerror != DISK_FULL:
            raise
        fail("The disk is full; free some space and start again.")
