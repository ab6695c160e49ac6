from __future__ import annotations

import base64
import gzip

import pytest

from weft_lab.vm import cloudinit
from weft_lab.vm.cloudinit import User


def parse(body: str) -> cloudinit.CloudConfig:
    return cloudinit.parse(f"#cloud-config\n{body}", "fedora")


def test_a_password_alone_is_the_image_users() -> None:
    config = parse("password: fedora\nchpasswd: { expire: False }")
    assert config.users == (User("fedora", password="fedora", home="/home/fedora"),)


def test_user_and_password_name_the_user() -> None:
    config = parse("user: ada\npassword: secret")
    assert config.users == (User("ada", password="secret", home="/home/ada"),)


def test_no_word_of_users_makes_none() -> None:
    assert parse("hostname: web1").users == ()


@pytest.mark.parametrize(
    "section",
    [
        "{list: ['root:toor', 'ada:lovelace']}",
        "{users: [{name: root, password: toor, type: text}, {name: ada, password: lovelace}]}",
    ],
)
def test_chpasswd_in_each_of_its_forms(section: str) -> None:
    users = {user.name: user.password for user in parse(f"chpasswd: {section}").users}
    assert users == {"root": "toor", "ada": "lovelace"}


def test_chpasswd_as_lines_of_text() -> None:
    users = parse("chpasswd:\n  list: |\n    root:toor\n    ada:a:b\n").users
    assert [(user.name, user.password) for user in users] == [("root", "toor"), ("ada", "a:b")]
    assert users[0].home == "/root"


def test_users_with_plain_and_hashed_passwords() -> None:
    config = parse(
        "users:\n- default\n- {name: ada, plain_text_passwd: x}\n- {name: bob, passwd: $6$s$h}\n"
    )
    assert [(u.name, u.password, u.hashed) for u in config.users] == [
        ("fedora", "", ""),
        ("ada", "x", ""),
        ("bob", "", "$6$s$h"),
    ]


def test_a_hash_as_the_default_password_is_a_hash() -> None:
    (user,) = parse("password: $5$salt$hash").users
    assert (user.password, user.hashed) == ("", "$5$salt$hash")


def test_files_in_each_encoding() -> None:
    packed = base64.b64encode(gzip.compress(b"text")).decode()
    plain = base64.b64encode(b"text").decode()
    config = parse(
        "write_files:\n"
        "- {path: /a, content: text}\n"
        f"- {{path: /b, content: {plain}, encoding: b64, permissions: '0600', append: true}}\n"
        f"- {{path: /c, content: {packed}, encoding: gz+b64, owner: 'ada:ada'}}\n"
    )
    assert [file.content for file in config.files] == [b"text"] * 3
    assert [file.mode for file in config.files] == [0o644, 0o600, 0o644]
    assert [file.append for file in config.files] == [False, True, False]
    assert config.files[2].owner == "ada:ada"


def test_commands_keep_their_words() -> None:
    config = parse("bootcmd: [echo hi]\nruncmd:\n- [sh, -c, 'a b']\n- ls /\n")
    assert config.boot_commands == ("echo hi",)
    assert config.run_commands == (("sh", "-c", "a b"), "ls /")


def test_a_script_is_a_script() -> None:
    assert cloudinit.parse("#!/bin/sh\necho hi").script == "#!/bin/sh\necho hi\n"


def test_what_is_not_followed_is_named() -> None:
    assert parse("packages: [nginx]\nssh_authorized_keys: [k]\n").unknown == ("packages",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("plain words", "neither #cloud-config nor #!"),
        ("#cloud-config\na: [", "is not valid YAML"),
        ("#cloud-config\n- a", "is a list"),
        ("#cloud-config\nruncmd: ls", "runcmd is a str"),
        ("#cloud-config\nwrite_files: [{content: x}]", "without an absolute path"),
        ("#cloud-config\nwrite_files: [{path: /a, content: '%', encoding: gz}]", "/a"),
        ("#cloud-config\nusers: [{uid: 1}]", "without a name"),
    ],
)
def test_unreadable_data_say_why(text: str, why: str) -> None:
    with pytest.raises(cloudinit.Unreadable, match=why):
        cloudinit.parse(text)


@pytest.mark.parametrize(
    ("image", "user"),
    [
        ("quay.io/kubevirt/fedora-with-test-tooling-container-disk:devel", "fedora"),
        ("quay.io/containerdisks/ubuntu:22.04", "ubuntu"),
        ("", "cloud"),
    ],
)
def test_the_default_user_is_the_images(image: str, user: str) -> None:
    assert cloudinit.default_user(image) == user


TEN = ",".join(["*a{0}"] * 10)
BOMB = "a0: &a0 [lol]\n" + "".join(f"a{n}: &a{n} [{TEN.format(n - 1)}]\n" for n in range(1, 8))
PACKED = base64.b64encode(gzip.compress(bytes(64 << 20))).decode()


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "runcmd: " + "[" * 1000,
        f"write_files: [{{path: /a, encoding: gz+b64, content: {PACKED}}}]",
    ],
    ids=["aliases", "nesting", "gzip"],
)
def test_a_few_bytes_never_become_many(text: str) -> None:
    with pytest.raises(cloudinit.Unreadable, match="more than"):
        cloudinit.parse(f"#cloud-config\n{text}")
