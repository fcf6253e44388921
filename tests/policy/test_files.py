# SPDX-License-Identifier: BSD-2-Clause
"""`sally check` and files: includes, sets, limits, bytes, exit codes, JSON, examples of the manual, privilege."""

import json
import os
import pwd
import random
import re
import resource
import subprocess
import time

import golden
import pytest

MANUAL = os.path.join(golden.ROOT, "man", "sally.conf.5")
EXAMPLES = os.path.join(golden.ROOT, "docs", "examples")


def write(folder, **files):
    """Writes files, whose names have _ for / and end in .conf or .txt; returns the folder."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_conf", ".conf").replace("_txt", ".txt")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def heads(text):
    """The first lines of diagnostics: what and where."""
    return [line for line in text.splitlines() if re.match(r"\S+: (error|warning): ", line)]


# ---- examples ----------------------------------------------------------------------------------------


def manual_examples():
    with open(MANUAL, encoding="utf-8") as file:
        return re.findall(r'^\.\\" example\n\.Bd [^\n]*\n(.*?)^\.Ed$', file.read(), re.M | re.S)


def test_the_manual_has_examples():
    assert len(manual_examples()) >= 6


@pytest.mark.parametrize("text", manual_examples())
def test_examples_of_the_manual_are_right(text):
    code, out, err = golden.check("-", stdin=text.encode())
    assert (code, err) == (0, ""), err
    assert "no errors" in out


@pytest.mark.parametrize("name,most", [("host.conf", 1), ("home.conf", 3), ("office.conf", 9)])
def test_examples_are_right_and_short(name, most):
    code, out, err = golden.check(os.path.join(EXAMPLES, name), "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["warnings"] == 0 and 0 < len(found["lines"]) <= most


def test_the_manual_is_well_formed():
    lint = subprocess.run(["mandoc", "-Tlint", "-Wwarning", MANUAL], capture_output=True, text=True, timeout=30)
    assert lint.returncode == 0, lint.stdout


def test_every_word_of_the_manuals_grammar_is_known():
    """Each quoted word of the grammar is reserved: nothing can be named like it."""
    with open(MANUAL, encoding="utf-8") as file:
        grammar = re.search(r"^\.Sh GRAMMAR\n(.*?)^\.Ed$", file.read(), re.M | re.S).group(1)
    words = {word for word in re.findall(r'"([a-z]{2,})/?"', grammar)}
    assert len(words) > 40
    for word in words:
        code, _, err = golden.check("-", stdin=f"host {word} = 10.0.0.1\n".encode())
        assert code == 1 and "is a word of the language" in err, word


# ---- includes and sets ---------------------------------------------------------------------------------


def test_included_files_are_part_of_it(tmp_path):
    write(tmp_path, main_conf='include "sally.d/*.conf"\nopen ssh from office\n', sally__b_conf="", **{
        "sally.d__20_conf": "open https from office\n", "sally.d__10_conf": "set office = 203.0.113.0/24\n",
        "sally.d__ignored_txt": "nonsense\n"})
    code, out, err = golden.check("main.conf", "--canonical", cwd=tmp_path)
    assert (code, err) == (0, "")
    assert out == "set office = 203.0.113.0/24\nopen https from office\nopen ssh from office\n"


def test_errors_name_the_included_file(tmp_path):
    write(tmp_path, main_conf='opn ssh\ninclude "d/a.conf"\nopn http\n', d__a_conf='\nopen htps\nblock file "x.txt"\n')
    code, _, err = golden.check("main.conf", cwd=tmp_path)
    assert code == 1
    assert heads(err) == [
        "main.conf:1:1: error: no sentence begins with 'opn'", "main.conf:3:1: error: no sentence begins with 'opn'",
        "d/a.conf:2:6: error: there is no service 'htps'", "d/a.conf:3:12: error: can not read 'd/x.txt': no such file"]


def test_a_pattern_may_match_nothing(tmp_path):
    write(tmp_path, main_conf='include "none.d/*.conf"\nopen ssh\n')
    assert golden.check("main.conf", cwd=tmp_path)[0] == 0


@pytest.mark.parametrize("depth,right", [(8, True), (9, False)])
def test_depth_of_includes(tmp_path, depth, right):
    for i in range(depth):
        write(tmp_path, **{f"{i}_conf": f'include "{i + 1}.conf"\n'})
    write(tmp_path, **{f"{depth}_conf": "open ssh\n"})
    code, _, err = golden.check("0.conf", cwd=tmp_path)
    assert code == (0 if right else 1)
    assert right or "nested more than 8 deep" in err


@pytest.mark.parametrize("count,right", [(255, True), (256, False)])
def test_number_of_files(tmp_path, count, right):
    for i in range(count):
        write(tmp_path, **{f"d__{i}_conf": ""})
    write(tmp_path, main_conf='include "d/*.conf"\nopen ssh\n')
    code, _, err = golden.check("main.conf", cwd=tmp_path)
    assert code == (0 if right else 1)
    assert right or "more than 256 files" in err


@pytest.mark.parametrize("order", ["up", "down"])
@pytest.mark.parametrize("depth,right", [(16, True), (17, False)])
def test_depth_of_sets_and_services(order, depth, right):
    for line, last, use in (("set n{} = n{}", "set n{} = 10.0.0.0/8", "block n1"),
                            ("service n{} = n{}", "service n{} = ssh", "open n1")):
        lines = [line.format(i, i + 1) for i in range(1, depth)] + [last.format(depth), use]
        if order == "down":  # the innermost first, who uses it last
            lines[:-1] = lines[-2::-1]
        code, _, err = golden.check("-", stdin="\n".join(lines).encode())
        assert code == (0 if right else 1), err
        assert right or len(heads(err)) == 1 and "more than 16 deep" in err, err


def test_set_files(tmp_path):
    write(tmp_path, main_conf='set bad = file "lists/bad.txt"\nblock bad\nblock file "lists/none.txt"\n',
          lists__bad_txt="# a list\n\n1.10.16.0/20 ; SBL256894\r\n2001:db8::/32\n10.1.2.3/8\n  192.0.2.7\t# one\n",
          lists__none_txt="; nothing\n")
    code, _, err = golden.check("main.conf", cwd=tmp_path)
    assert code == 0
    assert heads(err) == ["main.conf:3:12: warning: there is no network in 'lists/none.txt'"]


def test_wrong_set_files(tmp_path):
    write(tmp_path, main_conf='block file "bad.txt"\n', bad_txt="10.0.0.0/8\n" + "".join(f"x{i}\n" for i in range(9)))
    code, _, err = golden.check("main.conf", cwd=tmp_path)
    assert code == 1
    assert heads(err) == ["main.conf:1:12: error: 4 more lines of 'bad.txt' are no networks"] + [
        f"bad.txt:{i + 2}:1: error: 'x{i}' is not a network" for i in range(5)]


def test_a_million_networks_in_a_second(tmp_path):
    rnd = random.Random(1)
    lines = [f"{rnd.randrange(1, 224)}.{rnd.randrange(256)}.{rnd.randrange(256)}.0/24" for _ in range(700_000)]
    lines += [f"2001:{rnd.randrange(65536):x}:{rnd.randrange(65536):x}::/48" for _ in range(300_000)]
    write(tmp_path, main_conf='set bad = file "bad.txt"\nblock bad\n', bad_txt="\n".join(lines))
    took = []
    for _ in range(3):  # the machine may be busy with others: processor time counts, and the best of three
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code, _, err = golden.check("main.conf", cwd=tmp_path)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert (code, err) == (0, "")
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(took) < 1.0, took


def test_ten_thousand_lines(tmp_path):
    text = "".join(f"allow 10.{i >> 8}.{i & 255}.1 -> self : tcp/{i + 1}\n" for i in range(10_000))
    start = time.monotonic()
    code, out, err = golden.check("-", "--json", stdin=text.encode())
    assert code == 0, err
    names = [line["name"] for line in json.loads(out)["lines"]]
    assert len(set(names)) == 10_000 and max(map(len, names)) <= 31
    assert time.monotonic() - start < 10


# ---- limits and bytes --------------------------------------------------------------------------------------


def test_what_is_too_much_to_be_applied_is_no_good_here():
    text = b"wan eth0\nnat pool 16.0.0.0/24\n"
    code, out, err = golden.check("-", stdin=text)
    assert (code, out) == (1, "") and "-:2: nat-pool-16.0.0.0-24: more than 64 addresses" in err
    code, out, err = golden.check("-", "--json", stdin=text)
    found = json.loads(out)
    assert (code, found["errors"]) == (1, 0) and "more than 64 addresses" in found["limit"]
    code, out, err = golden.check("-", "--json", stdin=b"wan eth0\nnat pool 16.0.0.0/27\n")
    assert code == 0 and "limit" not in json.loads(out)


def test_file_too_large(tmp_path):
    write(tmp_path, main_conf=b"#" * (4 << 20), more_conf=b"#" * ((4 << 20) + 1))
    assert golden.check("main.conf", cwd=tmp_path)[0] == 0
    code, _, err = golden.check("more.conf", cwd=tmp_path)
    assert code == 1 and heads(err) == ["more.conf: error: 'more.conf' is larger than 4 MB"]


def test_too_many_sentences():
    code, _, err = golden.check("-", stdin=b"block 10.0.0.1\n" * 65_537)
    assert code == 1 and "more than 65536 sentences" in err


@pytest.mark.parametrize("data,said", [
    (b"open ssh\r\nopen http\r\n", None),
    (b"\xef\xbb\xbfopen ssh\n", None),
    (b"open ssh", None),
    (b"# caf\xc3\xa9 \xff\nopen ssh\n", None),
    (b"open\0 ssh\n", "-:1:5: error: a control character (0x00)"),
    (b"open ssh\x1b[2J\n", "-:1:9: error: a control character (0x1b)"),
    (b"open ssh \xff\n", "-:1:10: error: no sentence has a '\ufffd'"),
    (b'block file "a\tb"\n', "-:1:14: error: a control character in a file name"),
    (b'block file "a\0b"\n', "-:1:14: error: a control character in a file name"),
    (b"open " + b"s" * 5000 + b"\n", f"-:1:6: error: '{'s' * 5000}' is not a service"),
])
def test_bytes(data, said):
    code, _, err = golden.check("-", stdin=data)
    assert code == (1 if said else 0)
    assert heads(err) == ([said] if said else [])
    assert "\x1b" not in err, "a file may not speak to the terminal"


# ---- the command ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("args,code,said", [
    (["--nonsense"], 2, "there is no such option: '--nonsense'"),
    (["a.conf", "b.conf"], 2, "one file at a time: 'b.conf'"),
    (["-", "--json", "--canonical"], 2, "either --json or: '--canonical'"),
    (["no/such.conf"], 1, "no/such.conf: error: can not read 'no/such.conf': no such file"),
    (["/"], 1, "/: error: can not read '/': it is a folder"),
])
def test_exit_codes(args, code, said):
    got, out, err = golden.check(*args)
    assert (got, out) == (code, "") and said in err


def test_services_that_can_not_be_read():
    run = subprocess.run([golden.SALLY, "check", "-", "--services", "no/such"], input="open ssh\n", text=True,
                         capture_output=True, timeout=30)
    assert run.returncode == 1 and "no/such: error: can not read it" in run.stderr


def test_json_says_what_the_text_says():
    code, out, _ = golden.check("-", "--json", stdin=b"open htps\nopen ssh form 10.0.0.1\n")
    found = json.loads(out)
    assert code == 1 and (found["errors"], found["warnings"], found["lines"]) == (2, 0, [])
    first = found["diagnostics"][0]
    assert first["message"] == "there is no service 'htps'" and first["suggestion"] == "https"
    assert (first["file"], first["line"], first["column"], first["length"], first["severity"]) == ("-", 1, 6, 4, "error")


def test_names_are_stable():
    lines = ["open ssh", "open http from 10.0.0.0/8", "open http from 10.0.0.1/8, 192.0.2.1", "block 192.0.2.0/24",
             "open https, ssh, smtp, domain, ntp, imaps from 203.0.113.0/24", "nat open", "open ntp as time",
             "open https, ssh, smtp, domain, ntp, imaps from 198.51.100.0/24", "allow outside -> inside : icmp"]
    known = {}
    for seed in range(10):
        random.Random(seed).shuffle(lines)
        _, out, _ = golden.check("-", "--json", stdin="\n".join(lines).encode())
        names = {lines[line["line"] - 1]: line["name"] for line in json.loads(out)["lines"]}
        assert len(names) == len(lines) == len(set(names.values())) and max(map(len, names.values())) <= 31
        known = known or names
        assert names == known
    assert known["open ssh"] == "open-ssh" and known["open ntp as time"] == "time"
    assert known["block 192.0.2.0/24"] == "block-192.0.2.0-24"


@pytest.mark.skipif(os.geteuid() != 0, reason="is not root, and so the other tests show it already")
def test_needs_no_privilege(tmp_path):
    nobody = pwd.getpwnam("nobody")
    program = tmp_path / "sally"  # the build folder may be closed to others
    program.write_bytes(open(golden.SALLY, "rb").read())
    program.chmod(0o755)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.geteuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o111)
    run = subprocess.run([str(program), "check", "-"], input="open ssh\n", text=True, capture_output=True, timeout=30,
                         user=nobody.pw_uid, group=nobody.pw_gid, extra_groups=[])
    assert (run.returncode, run.stdout) == (0, "-: 1 line, no errors\n"), run.stderr
