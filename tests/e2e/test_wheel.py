"""The wheel by itself: everything that a home needs is in it, away from the checkout."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_a_home_is_made_and_runs_hello_from_an_installed_wheel_in_an_empty_folder(tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "LINECLEAR"))}

    def run(*argv, **more):
        done = subprocess.run(argv, cwd=tmp_path, env={**env, **more}, capture_output=True, text=True, timeout=100, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", "wheels", str(ROOT))
    [wheel] = (tmp_path / "wheels").iterdir()
    run(*pip, "install", "--no-deps", "--no-index", "--target", "site", str(wheel))

    code = "import sys; sys.path.insert(0, sys.argv.pop(1)); from reconciler.__main__ import main; sys.exit(main())"
    site = str(tmp_path / "site")

    def lineclear(*words):
        return run(sys.executable, "-P", "-c", code, site, "--home", "home", *words, PYTHONPATH=site)

    assert run(sys.executable, "-P", "-c", "import reconciler; print(reconciler.__file__)", PYTHONPATH=site).startswith(site)
    lineclear("init")
    try:
        lineclear("up")
        assert "Succeeded" in lineclear("wait", "hello")
    finally:
        lineclear("down", "--kill-steps")
