"""A file system that is written once, as a bucket that is mounted without a cache is: a real mount (FUSE), whose files lie in a directory.

    python write_once_fs.py DIRECTORY MOUNTPOINT

needs fusepy and root. A new file is written from its beginning to its end, appears to others when it is closed, and is never opened for writing again. Renaming, linking,
appending, truncating, locking, and setting modes and times answer "Operation not supported" or "Function not implemented"; removing works.
"""

import errno
import os
import sys
import threading

from fuse import FUSE, FuseOSError, Operations


class WriteOnce(Operations):
    def __init__(self, root):
        self.root = os.path.realpath(root)
        self.guard = threading.Lock()
        # What is being written, by path: its temporary file's descriptor and the bytes so far.
        self.open_writes = {}

    def place(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def refuse(self, *_):
        raise FuseOSError(errno.EOPNOTSUPP)

    rename = link = symlink = truncate = chmod = chown = utimens = refuse

    def getattr(self, path, fh=None):
        with self.guard:
            being_written = self.open_writes.get(path)
        try:
            info = os.lstat(self.place(path))
        except FileNotFoundError:
            # The writer sees what it has made; listings do not.
            if being_written is None:
                raise FuseOSError(errno.ENOENT)
            info = os.fstat(being_written[0])
        # What has no name yet has no links either, which the kernel would take for a file that is gone.
        return {key: getattr(info, key) for key in ("st_mode", "st_size", "st_uid", "st_gid", "st_mtime", "st_ctime", "st_atime")} | {"st_nlink": 1}

    def statfs(self, path):
        info = os.statvfs(self.root)
        return {key: getattr(info, key) for key in ("f_bavail", "f_bfree", "f_blocks", "f_bsize", "f_frsize", "f_namemax")}

    def readdir(self, path, fh):
        return [".", ".."] + os.listdir(self.place(path))

    def mkdir(self, path, mode):
        os.mkdir(self.place(path), mode)

    def rmdir(self, path):
        os.rmdir(self.place(path))

    def unlink(self, path):
        os.unlink(self.place(path))

    def create(self, path, mode, fi=None):
        if os.path.exists(self.place(path)):
            raise FuseOSError(errno.EEXIST)
        # An unnamed file that gets its name when it is closed.
        fd = os.open(os.path.dirname(self.place(path)), os.O_TMPFILE | os.O_RDWR, mode)
        with self.guard:
            self.open_writes[path] = [fd, 0]
        return fd

    def open(self, path, flags):
        if flags & os.O_ACCMODE != os.O_RDONLY:
            raise FuseOSError(errno.EOPNOTSUPP)
        return os.open(self.place(path), flags)

    def read(self, path, size, offset, fh):
        return os.pread(fh, size, offset)

    def write(self, path, data, offset, fh):
        with self.guard:
            written = self.open_writes.get(path)
            if written is None or offset != written[1]:
                raise FuseOSError(errno.EOPNOTSUPP)
            written[1] += len(data)
        return os.pwrite(fh, data, offset)

    def fsync(self, path, datasync, fh):
        return 0

    def publish(self, path, fh, is_last):
        with self.guard:
            written = self.open_writes.get(path)
            # A shell closes copies of a descriptor before it writes to the other one.
            if written is None or written[0] != fh or (written[1] == 0 and not is_last):
                return
            # Given any descriptor, Python follows the link.
            os.link(f"/proc/self/fd/{fh}", self.place(path), src_dir_fd=fh, follow_symlinks=True)
            del self.open_writes[path]

    def flush(self, path, fh):
        self.publish(path, fh, False)

    def release(self, path, fh):
        self.publish(path, fh, True)
        os.close(fh)


if __name__ == "__main__":
    FUSE(WriteOnce(sys.argv[1]), sys.argv[2], foreground=True, nothreads=False)
