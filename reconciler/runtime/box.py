"""The inside of a sandboxed step: its own mounts over a copy-on-write view of the machine, made before it is exec'ed.

Runs in the fork that becomes the step. Standard library only and little of it: the zygote imports this file. It must never
change a mount that others see, and never go on with less than was asked: a step that would write to the machine is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat

from reconciler.runtime.faults import is_of_host

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_BIND, MS_MOVE, MS_REC, MS_SLAVE = 1, 2, 4, 4096, 8192, 16384, 1 << 19
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE = 442, -100, 0x8000  # the number is the same on every machine
OF_THE_KERNEL = (b"/proc", b"/sys", b"/dev")
PRIVATE = (b"/tmp", b"/var/tmp", b"/dev/shm")
BOX = b"/root"  # in the attempt's directory
WRITTEN = (b"/work", b"/tmp")  # what a step writes there; all else tells what became of it
FOLDER_MODE = 0o755  # of folders that others may look into too
SHARED_MODE = 0o1777
OTHERWISE = "or map the image to host"
LIBC = ctypes.CDLL(None, use_errno=True)


class BoxError(Exception):
    """The kernel or the machine does not allow the sandbox; the text is for the owner of the home.

    `passes`: it is a fault of the machine that may be mended, such as a full disk.
    """

    def __init__(self, text: str, cause: OSError | None = None) -> None:
        super().__init__(text)
        self.passes = cause is not None and is_of_host(cause)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def mount(source: bytes, target: bytes, kind: bytes = b"", flags: int = 0, options: bytes = b"") -> None:
    """Put a file system or folder in the place of another. Raises OSError."""
    result = LIBC.mount(source, target, kind, ctypes.c_ulong(flags), options or None)
    check(result, f"mount {target.decode('utf-8', 'replace')}")


def make_read_only(target: bytes, *, with_below: bool) -> None:
    """Nothing can be made, changed or removed there; devices can still be used. Raises OSError."""
    attributes = (ctypes.c_uint64 * 4)(1, 0, 0, 0)
    flags = AT_RECURSIVE if with_below else 0
    arguments = (ctypes.c_long(MOUNT_SETATTR), AT_FDCWD, target, flags, attributes, ctypes.c_size_t(32))
    check(LIBC.syscall(*arguments), "mount_setattr")


def read_mounts() -> list[tuple[bytes, bool]]:
    """Every mount but the root: where it is and whether it may be written to; parents first."""
    found = {}
    with open("/proc/self/mountinfo", "rb") as file:
        for line in file:
            fields = line.split()
            place = fields[4].replace(b"\\040", b" ").replace(b"\\011", b"\t").replace(b"\\012", b"\n").replace(b"\\134", b"\\")
            found[place] = b"rw" in fields[5].split(b",") and b"rw" in fields[-1].split(b",")
    found.pop(b"/", None)
    return sorted(found.items())


def is_below(path: bytes, folder: bytes) -> bool:
    return folder in (b"/", path) or path.startswith(folder + b"/")


def is_user_namespace() -> bool:
    """Whether root here is not root of the machine."""
    with open("/proc/self/uid_map", "rb") as file:
        return file.read().split() != [b"0", b"0", b"4294967295"]


def enter_namespace() -> None:
    """Get mounts of our own; it may take a user namespace, in which every account but ours is nobody's. Raises OSError."""
    user, group = os.geteuid(), os.getegid()
    if LIBC.unshare(CLONE_NEWNS) != 0:
        check(LIBC.unshare(CLONE_NEWNS | CLONE_NEWUSER), "unshare")
        maps = {"setgroups": b"deny", "uid_map": b"%d %d 1" % (user, user), "gid_map": b"%d %d 1" % (group, group)}
        for name, text in maps.items():
            fd = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
            os.write(fd, text)
            os.close(fd)
    mount(b"none", b"/", flags=MS_REC | MS_SLAVE)


class Box:
    """The mounts of one step below `new` in its box; `pieces` tells a reader later where things are.

    A piece is (kind, where the step sees it, where it is): `copy` an upper folder over the machine's own, `own` a folder of the
    box, `seen` the machine's own.
    """

    def __init__(self, directory: bytes, shown: list[bytes]) -> None:
        self.directory = directory
        self.shown = shown
        self.box = directory + BOX
        self.new = self.box + b"/new"
        self.pieces: list[tuple[bytes, bytes, bytes]] = []
        self.options = b""
        self.mounts: list[tuple[bytes, bool]] = []
        self.device = os.stat("/").st_dev

    def enter(self) -> None:
        """Make this process see the box as the whole machine. Raises BoxError."""
        try:
            for folder in (self.box, self.new, self.box + b"/void"):
                os.mkdir(folder, FOLDER_MODE)
            os.chmod(self.new, FOLDER_MODE)
            os.chdir(self.box)
            self.mounts = read_mounts()
        except OSError as error:
            why = f"cannot make a sandbox in {self.shown_path(self.box)}: {error.strerror}"
            raise BoxError(f"{why}; make room, {OTHERWISE}", error) from None
        try:
            enter_namespace()
            self.options = b"userxattr," if is_user_namespace() else b""
        except OSError as error:
            text = f"the kernel refuses a namespace of its own ({error.strerror}); run as root or allow user namespaces"
            raise BoxError(f"cannot make a sandbox: {text} (sysctl user.max_user_namespaces), {OTHERWISE}") from None
        try:
            self.cover(b"/")
            self.add_private()
            self.add_shown()
            self.write_layout()
            os.chdir(self.new)
            mount(b".", b"/", flags=MS_MOVE)
            os.chroot(".")
            os.chdir("/")
        except OSError as error:
            why = f"cannot make a sandbox: {error.strerror} ({error.filename!r})"
            raise BoxError(f"{why}; look at the machine's log (dmesg), {OTHERWISE}", error) from None

    def shown_path(self, path: bytes) -> str:
        return path.decode("utf-8", "replace")

    def submounts(self, path: bytes) -> list[tuple[bytes, bool]]:
        return [one for one in self.mounts if one[0] != path and is_below(one[0], path)]

    def cover(self, path: bytes) -> None:
        """Show the folder as a private copy, with what is mounted below it; where only whole file systems can be copied and
        others are mounted in it, the folder is made anew and its entries are copied one by one.
        """
        below = self.submounts(path)
        try:
            self.copy(path)
        except OSError as error:
            if below:
                self.compose(path)
                return
            if os.stat(path).st_dev == self.device and os.access(path, os.R_OK | os.X_OK):
                why = f"the kernel refuses a copy-on-write view of {self.shown_path(path)} ({error.strerror})"
                what = "keep the home on ext4, xfs or btrfs, with Linux 5.12 or later"
                raise BoxError(f"cannot make a sandbox: {why}; {what}, {OTHERWISE}", error) from None
            self.show(path)
            return
        self.cover_mounts(path)

    def cover_mounts(self, path: bytes) -> None:
        """What is mounted below a copy; pieces that come later as a whole are left out."""
        done: list[bytes] = []
        for place, is_writable in self.submounts(path):
            if any(is_below(place, one) for one in (*done, *PRIVATE)):
                continue
            of_kernel = next((one for one in OF_THE_KERNEL if is_below(place, one)), None)
            if of_kernel is not None:
                self.show_kernel(of_kernel)
                done.append(of_kernel)
            elif not is_writable or not os.path.isdir(place):
                self.show(place)
            elif os.path.isdir(self.new + place):
                done.append(place)
                self.cover(place)

    def copy(self, path: bytes) -> None:
        facts = os.stat(path)
        number = b"%d" % len(self.pieces)
        upper, work = b"upper" + number, b"work" + number
        for folder in (upper, work):
            os.mkdir(folder, 0o700)
        with contextlib.suppress(PermissionError):  # another's folder, seen from a user namespace
            os.chown(upper, facts.st_uid, facts.st_gid)
        os.chmod(upper, stat.S_IMODE(facts.st_mode))
        lower = path.replace(b"\\", b"\\\\").replace(b":", b"\\:").replace(b",", b"\\,")
        options = self.options + b"volatile,lowerdir=" + lower + b",upperdir=" + upper + b",workdir=" + work
        try:
            mount(b"overlay", self.new + path.rstrip(b"/"), b"overlay", 0, options)
        except OSError:
            os.rmdir(upper)
            os.rmdir(work)
            raise
        self.pieces.append((b"copy", path, upper))

    def compose(self, path: bytes) -> None:
        """A new folder in the place of one that cannot be copied as a whole."""
        target = self.new + path.rstrip(b"/")
        if path == b"/":
            mount(target, target, flags=MS_BIND)
            self.pieces.append((b"own", b"/", b"new"))
        os.chmod(target, FOLDER_MODE)
        for name in sorted(os.listdir(path)):
            entry, inside = os.path.join(path, name), os.path.join(target, name)
            facts = os.lstat(entry)
            if stat.S_ISLNK(facts.st_mode):
                os.symlink(os.readlink(entry), inside)
            elif stat.S_ISDIR(facts.st_mode):
                os.mkdir(inside, FOLDER_MODE)
                if entry in OF_THE_KERNEL:
                    self.show_kernel(entry)
                elif entry not in PRIVATE:
                    self.cover(entry)
            elif stat.S_ISREG(facts.st_mode):
                os.close(os.open(inside, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
                self.show(entry)

    def show(self, path: bytes) -> None:
        """The machine's own, read only; what cannot be shown stays an empty folder."""
        if self.bind(path):
            make_read_only(self.new + path, with_below=True)

    def show_kernel(self, path: bytes) -> None:
        """Processes as they are; settings of the machine and the list of devices cannot be changed."""
        if self.bind(path) and path != b"/proc":
            make_read_only(self.new + path, with_below=path == b"/sys")

    def bind(self, path: bytes) -> bool:
        try:
            mount(path, self.new + path, flags=MS_BIND | MS_REC)
        except OSError:
            return False
        self.pieces.append((b"seen", path, path))
        return True

    def add_private(self) -> None:
        for number, path in enumerate(PRIVATE):
            target = self.new + path
            if os.path.isdir(target) and os.path.realpath(target) == os.path.realpath(self.new) + path:
                own = b"tmp%d" % number
                os.mkdir(own)
                os.chmod(own, SHARED_MODE)
                mount(own, target, flags=MS_BIND)
                self.pieces.append((b"own", path, own))

    def add_shown(self) -> None:
        """What the launch names and the attempt's own folder, read only but for what the step is to write; its box is hidden.

        One that holds a private folder is a copy already. The attempt's own comes last: it may be in one of the others.
        """
        for folder in map(os.path.realpath, self.shown):  # a link would lead out of what is being made
            if folder in PRIVATE:
                self.copy(folder)
            elif not any(is_below(one, folder) for one in PRIVATE):
                self.put(folder)
                make_read_only(self.new + folder, with_below=True)
        own = os.path.realpath(self.directory)
        self.put(own)
        make_read_only(self.new + own, with_below=True)
        for folder in (own + name for name in WRITTEN):
            if os.path.isdir(folder):
                self.put(folder)
        mount(b"void", self.new + own + BOX, flags=MS_BIND)
        make_read_only(self.new + own + BOX, with_below=False)

    def put(self, folder: bytes) -> None:
        """The machine's own folder where it is; raises BoxError."""
        target = self.new + folder
        try:
            os.makedirs(target, FOLDER_MODE, exist_ok=True)
            try:
                mount(folder, target, flags=MS_BIND)
            except OSError:  # in a user namespace a folder goes only with what is mounted in it
                mount(folder, target, flags=MS_BIND | MS_REC)
        except OSError as error:
            why = f"cannot show the folder {self.shown_path(folder)} ({error.strerror})"
            raise BoxError(f"cannot make a sandbox: {why}; make it readable, {OTHERWISE}", error) from None
        self.pieces.append((b"seen", folder, folder))

    def write_layout(self) -> None:
        fd = os.open(b"layout", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, b"".join(b"\0".join(piece) + b"\0\n" for piece in self.pieces))
        finally:
            os.close(fd)


def tidy(directory: bytes) -> None:
    """Take away what the kernel kept beside the copies: folders that not even their owner may enter."""
    box = directory + BOX
    with contextlib.suppress(OSError):
        for name in os.listdir(box):
            place = os.path.join(box, name)
            if name.startswith(b"work") and not os.path.islink(place):
                remove_tree(place)


def remove_tree(path: bytes) -> None:
    """Remove a folder whose folders may be closed to everybody. Raises OSError."""
    os.chmod(path, 0o700)
    with os.scandir(path) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(entry.path)
        else:
            os.unlink(entry.path)
    os.rmdir(path)


def probe(directory: str) -> None:
    """Be a process that only tries to make a box: what is in its way goes to standard output."""
    try:
        Box(os.fsencode(directory), []).enter()
    except BoxError as error:
        os.write(1, str(error).encode("utf-8", "replace"))
