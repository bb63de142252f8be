"""Before children are started: whom they run as, how many descriptors they may open, and their directories."""

import grp
import logging
import os
import pwd
import resource
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edged.errors import StartError
from edged.settings import Settings
from edged.supervisor.children import Identity

log = logging.getLogger("edged.supervisor")

_DESCRIPTORS_APART = 1024                        # of a worker, beside two for each client connection


def child_identity(settings: Settings) -> Identity | None:
    """Whom children run as; None: as the supervisor does. Raises StartError."""
    run = settings.run
    if not run.user:
        if os.geteuid() == 0:
            log.warning('workers and control run as root: [run] user = "..." names somebody with fewer rights')
        return None
    try:
        user = pwd.getpwnam(run.user)
    except KeyError:
        raise StartError(f'{settings.origin("run.user")}: run.user: there is no user "{run.user}"') from None
    try:
        group_id = grp.getgrnam(run.group).gr_gid if run.group else user.pw_gid
    except KeyError:
        raise StartError(f'{settings.origin("run.group")}: run.group: there is no group "{run.group}"') from None
    if os.geteuid() != 0:
        if (user.pw_uid, group_id) == (os.geteuid(), os.getegid()):
            return None
        raise StartError(f'{settings.origin("run.user")}: run.user: only root can start processes as "{run.user}"')
    return Identity(user.pw_uid, group_id, tuple(os.getgrouplist(run.user, group_id)))


def identity_of(plain: Sequence[Any] | None) -> Identity | None:
    """What `Identity.plain` gave."""
    return None if plain is None else Identity(plain[0], plain[1], tuple(plain[2]))


def raise_descriptor_limit(settings: Settings) -> None:
    """Let this process and its children open what `max_connections` needs, as far as the system permits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    share = -(-settings.worker.max_connections // settings.worker.count)
    needed = 2 * share + _DESCRIPTORS_APART
    if hard != resource.RLIM_INFINITY and hard < needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, needed))
            return
        except (ValueError, OSError):
            if "worker.max_connections" in settings.lines:
                log.warning("a worker may open %d descriptors, max_connections wants %d: accepting will pause earlier", hard, needed)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def make_directories(settings: Settings, identity: Identity | None) -> None:
    """Make the directories that are missing, for whom children run as. Raises StartError if one was chosen that cannot be."""
    for key, mode in (("runtime_dir", 0o755), ("state_dir", 0o750)):     # whoever may use a socket has to find it
        path = Path(getattr(settings.run, key))
        try:
            if path.is_dir():
                continue                         # whoever made it decided whose it is
            path.mkdir(mode=mode, parents=True)
            path.chmod(mode)                     # whatever the umask takes away
            if identity is not None:
                os.chown(path, identity.user_id, identity.group_id)
        except OSError as why:
            if f"run.{key}" in settings.lines:
                raise StartError(f"{settings.origin(f'run.{key}')}: run.{key}: {path}: {why.strerror}") from None
