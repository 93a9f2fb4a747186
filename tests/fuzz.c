// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random input, with the contract as a model beside it. Built statically by scripts/build.sh, runs in
 * the guest, as root, with taskmonitor.ko in the working directory and no module loaded.
 *
 *   fuzz [--wrong RULE] SEED COUNT    COUNT commands and values of parameters, in rounds of a freshly
 *                                     loaded module and fresh tasks each. At the first difference: what
 *                                     it is, and the shortest case that was found to show one, behind
 *                                     a line "--"
 *   fuzz [--wrong RULE] replay FILE   carries such a case out
 *   fuzz noise SEED COUNT             COUNT odd system calls on the four files of a loaded module
 *
 * Exits 0 without a difference, 1 with one, 2 when it cannot do its work. --wrong makes the model wrong
 * in one RULE (see there): a fuzzer that sees no difference then is worth nothing.
 *
 * A round runs in a PID namespace of its own, whose PIDs are therefore all known, and on one processor,
 * where its tasks go before this program: when that runs, a task that it has ended has left the processor
 * for good, so that it is known what has ended.
 *
 * Time does not come in: the period is an hour, or sampling is stopped, or else ("busy") only what does
 * not depend on the instants is compared. An instant that has come is waited for. Where the rest of a
 * write would depend on whether the sampling thread was faster, the write ends before that.
 *
 * A case is text, an operation a line (in DATA, \n, \t, \\ and \xHH are understood):
 *
 *   load PARAMETERS   open SLOT debugfs|sysfs   write SLOT DATA   close SLOT   set NAME DATA
 *   spawn PID   stopped PID   thread PID TID   kill PID   zombie PID   reap PID   check
 *
 * What makes no sense (a write to what is not open) is passed over, so that any part of a case is one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_PATH "/sys/kernel/debug/taskmonitor"
#define FOLLOW_PATH FILE_PATH "_follow"
#define TASKS_PATH FILE_PATH "_tasks"
#define SYSFS_PATH "/sys/kernel/taskmonitor"
#define PARAMETERS_PATH "/sys/module/taskmonitor/parameters/"

typedef uint64_t u64;

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* --- numbers ------------------------------------------------------------------------------------- */

static u64 state;

static u64 any(void)
{
	u64 z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static unsigned int below(unsigned int n)
{
	return any() % n;
}

static int chance(unsigned int percent)
{
	return below(100) < percent;
}

#define PICK(array) ((array)[below(sizeof(array) / sizeof(*(array)))])

/* --- a case, in memory that a round shares with the process that shrinks it --------------------- */

enum kind { LOAD, OPEN, WRITE, CLOSE, SET, SPAWN, STOPPED, THREAD, KILL, ZOMBIE, REAP, CHECK, KINDS };
static const char *const kind_names[KINDS] = {
	"load", "open", "write", "close", "set", "spawn", "stopped", "thread", "kill", "zombie", "reap", "check",
};

struct op {
	enum kind kind;
	int a, b;
	const char *data;
	size_t len;
};

#define OPS 20000
#define ARENA (16 << 20)
static struct shared {
	struct op ops[OPS];
	int count, at, done, failed;
	/* What was done: commands and values of parameters, results of them, comparisons of files. */
	long commands, checks, instants;
	long results[4096];
	char what[4096];
	size_t used;
	char arena[ARENA];
} *shared;

static const char *keep(const char *data, size_t len)
{
	char *to = shared->arena + shared->used;

	if (shared->used + len > ARENA)
		fail("arena");
	memcpy(to, data, len);
	shared->used += len;
	return to;
}

static void print_data(FILE *out, const char *data, size_t len)
{
	for (; len; data++, len--) {
		if (*data == '\n')
			fputs("\\n", out);
		else if (*data == '\t')
			fputs("\\t", out);
		else if (*data == '\\')
			fputs("\\\\", out);
		else if (*data >= ' ' && *data <= '~')
			putc(*data, out);
		else
			fprintf(out, "\\x%02x", (unsigned char)*data);
	}
}

static void print_op(FILE *out, const struct op *op)
{
	fputs(kind_names[op->kind], out);
	switch (op->kind) {
	case LOAD:
		fprintf(out, " %.*s", (int)op->len, op->data);
		break;
	case OPEN:
		fprintf(out, " %d %s", op->a, op->b ? "sysfs" : "debugfs");
		break;
	case WRITE:
		fprintf(out, " %d ", op->a);
		print_data(out, op->data, op->len);
		break;
	case SET: {
		size_t name = strlen(op->data) + 1;

		fprintf(out, " %s ", op->data);
		print_data(out, op->data + name, op->len - name);
		break;
	}
	case THREAD:
		fprintf(out, " %d %d", op->a, op->b);
		break;
	case CHECK:
		break;
	default:
		fprintf(out, " %d", op->a);
	}
	putc('\n', out);
}

static size_t unescape(char *text)
{
	char *from = text, *to = text;
	unsigned int byte;

	for (; *from; from++) {
		if (*from != '\\' || !from[1]) {
			*to++ = *from;
		} else if (*++from == 'x' && sscanf(from + 1, "%2x", &byte) == 1) {
			*to++ = byte;
			from += 2;
		} else {
			*to++ = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from;
		}
	}
	return to - text;
}

static void read_case(const char *path)
{
	FILE *in = fopen(path, "re");
	char *line = NULL, word[16], kind[16];
	size_t size = 0;
	ssize_t n;

	if (!in)
		fail(path);
	while ((n = getline(&line, &size, in)) > 0) {
		struct op op = { 0 };
		int at = 0;

		if (line[n - 1] == '\n')
			line[--n] = 0;
		if (sscanf(line, "%15s%n", kind, &at) != 1)
			continue;
		while (op.kind < KINDS && strcmp(kind, kind_names[op.kind]))
			op.kind++;
		if (op.kind == KINDS || shared->count == OPS) {
			fprintf(stderr, "fuzz: no operation: %s\n", line);
			exit(2);
		}
		if (op.kind == OPEN) {
			sscanf(line + at, "%d %15s", &op.a, word);
			op.b = !strcmp(word, "sysfs");
		} else if (op.kind == WRITE) {
			int more = 0;

			sscanf(line + at, "%d%n", &op.a, &more);
			at += more + (line[at + more] == ' ');
			op.len = unescape(line + at);
			op.data = keep(line + at, op.len);
		} else if (op.kind == SET) {
			char *name = line + at + 1, *value = strchr(name, ' ');

			if (!value)
				continue;
			*value++ = 0;
			op.len = unescape(value) + (value - name);
			op.data = keep(name, op.len);
		} else if (op.kind == LOAD) {
			op.len = strlen(line + at + 1) + 1;
			op.data = keep(line + at + 1, op.len);
		} else {
			sscanf(line + at, "%d %d", &op.a, &op.b);
		}
		shared->ops[shared->count++] = op;
	}
	free(line);
	fclose(in);
}

/* A difference: the round ends here. */
static void __attribute__((noreturn, format(printf, 1, 2))) differ(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(shared->what, sizeof(shared->what), format, list);
	va_end(list);
	shared->failed = 1;
	_exit(1);
}

/* --- the tasks of a round ------------------------------------------------------------------------ */

enum status { LIVING, ENDED, GONE };

/* A task, not its number. A thread has the same socket as its process. */
static struct task {
	int pid, process;
	enum status status;
	int stopped, threads, socket;
} tasks[4096];
static int tasks_count;

static struct task *task_of(int pid)
{
	for (int i = tasks_count - 1; i >= 0; i--)
		if (tasks[i].pid == pid && tasks[i].status != GONE)
			return &tasks[i];
	return NULL;
}

/* --- the model: what the contract says ----------------------------------------------------------- */

/*
 * Ways in which it can be wrong, for --wrong: each a rule that is easily got wrong in the module, too.
 */
static const char *const rules[] = {
	"none", "newline", "order", "choice", "length", "zeros", "partial", "number", "evicted", "zombie",
};
enum rule { NONE, NEWLINE, ORDER, CHOICE, LENGTH, ZEROS, PARTIAL, NUMBER, EVICTED, DEAD };
static enum rule wrong;

#define LIMIT 60
/* A write of a multiple of this may be a piece of a longer one. */
#define PIECE 4096
/* The largest page of any kernel. */
#define MAX_PAGE 65536
/* That of this one. */
static size_t page_size;
/* A period in which no instant comes by itself, in us. */
#define LONG 600000000u
#define MAX_ENTRIES 16

struct entry {
	const struct task *task;
	/* Its last sample was taken; and the how manieth exit that was. */
	int exited;
	long rank;
	u64 start;
	/*
	 * Instants since it was added, whether that is known, or at least so many; samples that were taken,
	 * and that are there: not more and not less than.
	 */
	u64 instants, taken_least, taken_most, samples_least, samples_most;
	int known;
	/* An instant has come that may not be sampled yet; its sample will not be dropped. */
	int pending, certain;
};

static struct model {
	struct entry entries[MAX_ENTRIES];
	int count, choice, sampling;
	long exits;
	unsigned int period_us, max_samples, max_tasks, max_mib, reserve;
	/* From here on, it depends on the sampling thread what happens. */
	int race;
} model;

static u64 least(u64 a, u64 b)
{
	return a < b ? a : b;
}

static int busy(const struct model *m)
{
	return m->sampling && m->period_us < LONG;
}

/* While sampling at a long period behind a short one, it is not known which instants there were. */
static int unsure(const struct model *m)
{
	if (!m->sampling || busy(m))
		return 0;
	for (int i = 0; i < m->count; i++)
		if (!m->entries[i].exited && !m->entries[i].known)
			return 1;
	return 0;
}

static void restart(struct model *m)
{
	for (int i = 0; i < m->count; i++) {
		struct entry *e = &m->entries[i];

		if (e->exited)
			continue;
		e->instants++;
		e->taken_most++;
		e->samples_most = least(e->samples_most + 1, m->max_samples);
		e->pending = e->certain = 1;
		if (busy(m))
			e->known = 0;
		if (e->task->status != LIVING)
			m->race = 1;
	}
}

static long start(struct model *m)
{
	if (!m->sampling) {
		m->sampling = 1;
		restart(m);
	}
	return 0;
}

static long stop(struct model *m)
{
	m->sampling = 0;
	for (int i = 0; i < m->count; i++)
		m->entries[i].pending = m->entries[i].certain = 0;
	return 0;
}

static void forget(struct model *m, int i)
{
	int pid = m->entries[i].task->pid;

	m->count--;
	memmove(&m->entries[i], &m->entries[i + 1], (m->count - i) * sizeof(m->entries[0]));
	for (i = 0; i < m->count; i++)
		if (m->entries[i].task->pid == pid)
			return;
	if (m->choice == pid && wrong != CHOICE)
		m->choice = 0;
}

static long add(struct model *m, int pid)
{
	const struct task *task = task_of(pid);
	int goes = -1;

	if (!task || (wrong == DEAD && task->status == ENDED))
		return -ESRCH;
	for (int i = 0; i < m->count; i++)
		if (m->entries[i].task == task)
			return -EEXIST;
	if (m->count >= (int)m->max_tasks) {
		/*
		 * "The history that exited longest ago": an exit is known by the X that tells of it (of a
		 * zombie, when it was added); of those that no instant has seen yet, it is the first.
		 */
		for (int i = 0; i < m->count; i++) {
			const struct entry *e = &m->entries[i];

			if (e->exited && (goes < 0 || (e->rank < m->entries[goes].rank) == (wrong != ORDER)))
				goes = i;
		}
		for (int i = 0; goes < 0 && i < m->count; i++)
			if (m->entries[i].task->status != LIVING)
				goes = i;
		if (goes < 0)
			return -ENOSPC;
	}
	/* (The new one comes first: a choice of the number that they share stays.) */
	m->entries[m->count++] = (struct entry){
		.task = task, .exited = task->status != LIVING, .rank = ++m->exits, .instants = 1,
		.taken_least = 1, .taken_most = 1, .samples_least = 1, .samples_most = 1,
		.known = !busy(m),
	};
	if (goes >= 0)
		forget(m, goes);
	return 0;
}

static long removal(struct model *m, int pid)
{
	long result = -ENOENT;

	for (int i = m->count - 1; i >= 0; i--) {
		if (m->entries[i].task->pid == pid) {
			forget(m, i);
			result = 0;
		}
	}
	return result;
}

static long print(struct model *m, int pid)
{
	for (int i = 0; i < m->count; i++) {
		if (m->entries[i].task->pid == pid) {
			m->choice = pid;
			return 0;
		}
	}
	return -ENOENT;
}

/* (Exited is who has had its last sample.) */
static long clear(struct model *m)
{
	for (int i = m->count - 1; i >= 0; i--) {
		struct entry *e = &m->entries[i];

		if (e->exited) {
			forget(m, i);
			continue;
		}
		e->samples_least = 0;
		e->samples_most = e->pending && wrong != EVICTED;
		e->certain = 0;
	}
	return 0;
}

/* Blanks are those of ASCII; the contract does not say which. */
static int blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\n';
}

/* A PID as /proc writes it, or 0. */
static int parse_pid(const char *text, size_t len)
{
	u64 value = 0;

	if (!len || (*text == '0' && wrong != ZEROS))
		return 0;
	for (; len; text++, len--) {
		if (*text < '0' || *text > '9')
			return 0;
		value = value * 10 + (*text - '0');
		if (value > INT32_MAX)
			return 0;
	}
	return value;
}

static int is(const char *word, const char *text, size_t len)
{
	return strlen(word) == len && !memcmp(word, text, len);
}

/* One line, without its newline. */
static long command(struct model *m, const char *text, size_t len)
{
	int pid;

	if (len > 64 + (wrong == LENGTH))
		return -EINVAL;
	while (len && blank(*text))
		text++, len--;
	while (len && blank(text[len - 1]))
		len--;
	if (is("clear", text, len))
		return clear(m);
	if (is("start", text, len))
		return start(m);
	if (is("stop", text, len))
		return stop(m);
	if (len > 5 && !memcmp(text, "print", 5) && blank(text[5])) {
		for (text += 5, len -= 5; len && blank(*text); text++, len--)
			;
		if (is("all", text, len)) {
			m->choice = 0;
			return 0;
		}
		pid = parse_pid(text, len);
		return pid ? print(m, pid) : -EINVAL;
	}
	if (len && *text == '-') {
		pid = parse_pid(text + 1, len - 1);
		return pid ? removal(m, pid) : -EINVAL;
	}
	pid = parse_pid(text, len);
	return pid ? add(m, pid) : -EINVAL;
}

struct outcome {
	size_t done;
	long error;
	long commands;
	/* The commands end here, before what would depend on time. */
	int cut;
};

static void tell(struct outcome *o, long result, size_t len, int counts)
{
	o->commands++;
	if (counts)
		shared->results[-result]++;
	o->error = result;
	if (!result)
		o->done += len;
}

/*
 * Whole lines in order, up to the first that fails; then, if that is allowed, one that lacks its newline.
 * `unfinished`: a rest is left for a later write.
 */
static struct outcome lines(struct model *m, const char *data, size_t len, int lacking, int unfinished, int counts)
{
	struct outcome o = { 0 };

	while (o.done < len && !o.error) {
		const char *line = data + o.done, *end = memchr(line, '\n', len - o.done);

		if (end) {
			tell(&o, command(m, line, end - line), end + 1 - line, counts);
			if (m->race && o.done < len) {
				o.cut = 1;
				break;
			}
		} else if (unfinished && len - o.done <= 64) {
			break;
		} else if (lacking && !unfinished) {
			tell(&o, command(m, line, len - o.done), len - o.done, counts);
		} else {
			tell(&o, -EINVAL, 0, counts);
		}
	}
	return o;
}

static long result_of(const struct outcome *o)
{
	if (wrong == PARTIAL && o->error)
		return o->error;
	return o->error && !o->done ? o->error : (long)o->done;
}

/* Such a write may be a piece of a longer one: a line that it cuts off is left for the next. */
static int is_cut(size_t len)
{
	return len && len % PIECE == 0;
}

/* An empty write does nothing, but is one. */
static struct outcome write_debugfs(struct model *m, const char *data, size_t len, int first, int counts)
{
	return lines(m, data, len, first || wrong == NEWLINE, is_cut(len), counts);
}

/* Of a write, sysfs passes a page on. An empty one never reaches the module. */
static struct outcome write_sysfs(struct model *m, const char *data, size_t len, int first, int counts)
{
	if (len > page_size)
		len = page_size;
	return lines(m, data, len, first || wrong == NEWLINE, is_cut(len), counts);
}

/* As kstrtouint(), all of whose errors are EINVAL. What is behind a NUL does not count. */
static int parse_number(const char *text, u64 *value)
{
	unsigned int base = 10, digits = 0;

	*value = 0;
	if (*text == '+')
		text++;
	if (*text == '0') {
		base = 8;
		if ((text[1] | 32) == 'x' && text[2] && strchr("0123456789abcdefABCDEF", text[2])) {
			base = 16;
			text += 2;
		}
	}
	for (; *text; text++, digits++) {
		unsigned int digit = *text >= '0' && *text <= '9' ? *text - '0' :
				     (*text | 32) >= 'a' && (*text | 32) <= 'f' ? (*text | 32) - 'a' + 10 : 16;

		if (digit >= base)
			break;
		*value = *value * base + digit;
		if (*value > UINT32_MAX)
			return 0;
	}
	if (*text == '\n')
		text++;
	return digits && !*text;
}

static unsigned int ram_mib(void)
{
	struct sysinfo info;

	sysinfo(&info);
	return (u64)info.totalram * info.mem_unit >> 20;
}

static int in_range(u64 value, u64 low, u64 high)
{
	return value >= low && value <= high;
}

/* kstrtobool() looks at the first one or two bytes. */
static int parse_bool(const char *text)
{
	if (*text && strchr("yYtTeE1", *text))
		return 1;
	if (*text && strchr("nNfFdD0", *text))
		return 0;
	if ((*text | 32) == 'o' && (text[1] | 32) == 'n')
		return 1;
	if ((*text | 32) == 'o' && (text[1] | 32) == 'f')
		return 0;
	return -1;
}

static long set_parameter(struct model *m, const char *name, const char *text)
{
	u64 value, held = 0;

	if (!strcmp(name, "sampling")) {
		int on = parse_bool(text);

		return on < 0 ? -EINVAL : on ? start(m) : stop(m);
	}
	if (!parse_number(text, &value))
		return -EINVAL;
	if (!strcmp(name, "period_us")) {
		if (!in_range(value, 100 + (wrong == NUMBER), 3600000000))
			return -EINVAL;
		m->period_us = value;
		if (m->sampling)
			restart(m);
	} else if (!strcmp(name, "max_samples")) {
		if (!in_range(value, 1, 16777216))
			return -EINVAL;
		m->max_samples = value;
		for (int i = 0; i < m->count; i++) {
			struct entry *e = &m->entries[i];

			/* A sample that is pending may come behind this. */
			e->samples_least = least(e->samples_least, value);
			e->samples_most = least(e->samples_most + e->pending, value);
			e->certain = 0;
		}
	} else if (!strcmp(name, "max_mib")) {
		if (!in_range(value, 1, ram_mib()))
			return -EINVAL;
		m->max_mib = value;
		for (int i = 0; i < m->count; i++)
			held += m->entries[i].samples_most;
		/* A MiB holds more than that, however few are in a block; beyond, some may go. */
		for (int i = 0; held > 10000 && i < m->count; i++)
			m->entries[i].samples_least = 0;
	} else if (!strcmp(name, "reserve")) {
		if (!in_range(value, 1, 4096))
			return -EINVAL;
		m->reserve = value;
	}
	return 0;
}

/* --- what the files show --------------------------------------------------------------------------- */

static char *slurp(const char *path, size_t *len)
{
	static struct {
		char *data;
		size_t size;
	} buffers[4];
	static int turn;
	int i = turn++ % 4, fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		differ("open %s: %s", path, strerrorname_np(errno));
	*len = 0;
	do {
		if (buffers[i].size - *len < 65536) {
			buffers[i].size = 2 * buffers[i].size + 131072;
			buffers[i].data = realloc(buffers[i].data, buffers[i].size);
			if (!buffers[i].data)
				fail("realloc");
		}
		n = read(fd, buffers[i].data + *len, buffers[i].size - *len - 1);
		if (n < 0)
			differ("read %s: %s", path, strerrorname_np(errno));
		*len += n;
	} while (n);
	close(fd);
	buffers[i].data[*len] = 0;
	return buffers[i].data;
}

/* Values of a line: in turn what stands before each, and its kind: a number, a letter, a text. */
struct grammar {
	const char *before;
	char kind;
};

static const struct grammar sample_grammar[] = {
	{ "pid ", 'n' }, { " usr ", 'n' }, { " sys ", 'n' }, { " time ", 'n' }, { " rss ", 'n' },
	{ " minflt ", 'n' }, { " majflt ", 'n' }, { " mm_users ", 'n' }, { " state ", 'l' },
	{ " seq ", 'n' }, { " start ", 'n' }, { "\n", 0 },
};
enum { PID, USR, SYS, TIME, RSS, MINFLT, MAJFLT, MM_USERS, STATE, SEQ, START };

static const struct grammar task_grammar[] = {
	{ "pid ", 'n' }, { " start ", 'n' }, { " state ", 'l' }, { " threads ", 'n' }, { " samples ", 'n' },
	{ " taken ", 'n' }, { " evicted ", 'n' }, { " reclaimed ", 'n' }, { " missed ", 'n' }, { " usr ", 'n' },
	{ " sys ", 'n' }, { " time ", 'n' }, { " rss ", 'n' }, { " mm_users ", 'n' }, { " tgid ", 'n' },
	{ " comm ", 't' }, { "\n", 0 },
};
enum { T_PID, T_START, T_STATE, T_THREADS, T_SAMPLES, T_TAKEN, T_EVICTED, T_RECLAIMED, T_MISSED, T_USR,
       T_SYS, T_TIME };

/*
 * Goes through a line from the byte `skip` of what stands before a value (or of the value) on. Returns where
 * it ends; NULL if it is not of this form, or, with `cut`, if not even what there is of it is.
 */
static const char *match(const struct grammar *g, size_t skip, const char *p, const char *end, int cut, u64 *values)
{
	for (;; g++, skip = 0) {
		size_t len = strlen(g->before);
		const char *begin;
		u64 value = 0;

		for (; skip < len; skip++, p++) {
			if (p == end)
				return cut ? end : NULL;
			if (*p != g->before[skip])
				return NULL;
		}
		if (!g->kind)
			return p;
		begin = p;
		if (g->kind == 'l') {
			if (p < end && ((*p | 32) < 'a' || (*p | 32) > 'z'))
				return NULL;
			value = p < end ? *p++ : 0;
		} else {
			for (; p < end && *p >= (g->kind == 'n' ? '0' : ' ') && *p <= (g->kind == 'n' ? '9' : '~'); p++)
				value = value * 10 + (*p - '0');
		}
		if (p == end)
			return cut ? end : NULL;
		/* What goes on in the midst of a value may have none of it left. */
		if ((p == begin && skip == len && !cut) || (g->kind == 'n' && *begin == '0' && p > begin + 1 && !cut))
			return NULL;
		if (values)
			*values++ = value;
	}
}

struct row {
	u64 v[16];
	const char *text;
	size_t len;
};

static int read_rows(const char *path, const struct grammar *g, struct row **rows)
{
	static struct {
		struct row *rows;
		int size;
	} buffers[4];
	static int turn;
	int i = turn++ % 4, n = 0;
	size_t len;
	const char *p = slurp(path, &len), *end = p + len;

	while (p < end) {
		const char *next;

		if (n == buffers[i].size) {
			buffers[i].size = 2 * n + 1000;
			buffers[i].rows = realloc(buffers[i].rows, buffers[i].size * sizeof(struct row));
			if (!buffers[i].rows)
				fail("realloc");
		}
		next = match(g, 0, p, end, 0, buffers[i].rows[n].v);
		if (!next)
			differ("%s: another form: %.200s", path, p);
		buffers[i].rows[n].text = p;
		buffers[i].rows[n++].len = next - p;
		p = next;
	}
	*rows = buffers[i].rows;
	return n;
}

static void show_model(char *text, size_t size)
{
	size_t n = 0;

	*text = 0;
	for (int i = 0; i < model.count && n < size; i++)
		n += snprintf(text + n, size - n, "%s%d%s", i ? " " : "", model.entries[i].task->pid,
			      model.entries[i].exited ? "X" : "");
}

/* The name of the task that has this number: 1 to 15 bytes, plain and odd ones. */
static void name_of(int pid, char name[16])
{
	static const char bytes[] = "az09_ :\"\\\n\t\x01\x1f\x7f\x80\xff";
	u64 left = (pid + 1) * 0x9e3779b97f4a7c15;
	int len = 1 + (left >> 60) % 15;

	for (int i = 0; i < len; i++, left >>= 4)
		name[i] = bytes[left & 15];
	name[len] = 0;
}

/* As the contract has it: everything but printable ASCII, and the backslash, is written as \ooo. */
static void check_name(int pid, const struct row *row)
{
	const char *name = memmem(row->text, row->len, " comm ", 6);
	char plain[16], expected[64];
	size_t n = 0;

	name_of(pid, plain);
	for (const unsigned char *p = (unsigned char *)plain; *p; p++)
		n += sprintf(expected + n, *p < ' ' || *p > '~' || *p == '\\' ? "\\%03o" : "%c", *p);
	name = name ? name + 6 : row->text;
	if ((size_t)(row->text + row->len - 1 - name) != n || memcmp(name, expected, n))
		differ("task %d: comm %.*s, expected %s", pid, (int)(row->text + row->len - 1 - name), name, expected);
}

/* The tasks and their order; of each its name, whether it has exited, and that its counts add up. */
static int read_tasks(struct row **rows)
{
	int n = read_rows(TASKS_PATH, task_grammar, rows);
	char expected[512];

	show_model(expected, sizeof(expected));
	for (int i = 0; i < model.count || i < n; i++) {
		struct entry *e = &model.entries[i];
		u64 *v = (*rows)[i].v;

		if (i >= n || i >= model.count || v[T_PID] != (u64)e->task->pid)
			differ("tasks: expected %s, line %d is %.100s (of %d)", expected, i + 1,
			       i < n ? (*rows)[i].text : "missing", n);
		check_name(e->task->pid, &(*rows)[i]);
		if (!e->start)
			e->start = v[T_START];
		if (v[T_START] != e->start)
			differ("task %d: start %lu, was %lu", e->task->pid, v[T_START], e->start);
		if (e->exited ? v[T_STATE] != 'X' : v[T_STATE] == 'X' && !(model.race && e->task->status != LIVING))
			differ("task %d: state %c; expected tasks: %s", e->task->pid, (char)v[T_STATE], expected);
		if ((v[T_STATE] == 'X') != !v[T_THREADS])
			differ("task %d: state %c with %lu threads", e->task->pid, (char)v[T_STATE], v[T_THREADS]);
		if (v[T_TAKEN] != v[T_SAMPLES] + v[T_EVICTED] + v[T_RECLAIMED] || v[T_RECLAIMED])
			differ("task %d: taken %lu, samples %lu, evicted %lu, reclaimed %lu", e->task->pid, v[T_TAKEN],
			       v[T_SAMPLES], v[T_EVICTED], v[T_RECLAIMED]);
	}
	return n;
}

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void between(int pid, const char *what, u64 got, u64 low, u64 high)
{
	if (!in_range(got, low, high))
		differ("task %d: %s %lu, expected %lu to %lu", pid, what, got, low, high);
}

/*
 * Waits for what the sampling thread has to do, and compares the counts. From then on they are known.
 */
static void settle(void)
{
	u64 end = now() + LIMIT * 1000000000ull;
	int quiet = !busy(&model), waiting;
	struct row *rows;

	do {
		waiting = 0;
		read_tasks(&rows);
		for (int i = 0; i < model.count; i++) {
			const struct entry *e = &model.entries[i];
			u64 *v = rows[i].v;

			if (e->exited || !model.sampling)
				continue;
			if (model.race && e->task->status != LIVING && v[T_STATE] != 'X')
				waiting = e->task->pid;
			else if (quiet && e->known && v[T_TAKEN] + v[T_MISSED] < e->instants)
				waiting = e->task->pid;
		}
		if (waiting && now() > end)
			differ("waited %d s in vain for the sample of task %d", LIMIT, waiting);
		if (waiting)
			usleep(200);
	} while (waiting);

	/* Those that have exited meanwhile, in the order of their last samples. */
	for (;;) {
		int first = -1;

		for (int i = 0; i < model.count; i++) {
			if (model.entries[i].exited || rows[i].v[T_STATE] != 'X')
				continue;
			if (first < 0 || rows[i].v[T_TIME] < rows[first].v[T_TIME]) {
				if (first >= 0 && quiet)
					differ("tasks %d and %d: not sampled in the order in which they were added",
					       model.entries[first].task->pid, model.entries[i].task->pid);
				first = i;
			}
		}
		if (first < 0)
			break;
		model.entries[first].exited = 1;
		model.entries[first].rank = ++model.exits;
	}
	model.race = 0;

	for (int i = 0; i < model.count; i++) {
		struct entry *e = &model.entries[i];
		u64 *v = rows[i].v;
		int pid = e->task->pid;

		if (e->known && quiet) {
			if (model.sampling && e->pending) {
				e->taken_least++;
				e->samples_least = least(e->samples_least + e->certain, model.max_samples);
			}
			between(pid, "taken + missed", v[T_TAKEN] + v[T_MISSED], e->instants, e->instants);
			between(pid, "taken", v[T_TAKEN], e->taken_least, e->taken_most);
			between(pid, "samples", v[T_SAMPLES], e->samples_least, e->samples_most);
		} else {
			between(pid, "taken + missed", v[T_TAKEN] + v[T_MISSED], e->taken_least, UINT64_MAX);
			between(pid, "taken", v[T_TAKEN], e->taken_least, UINT64_MAX);
			between(pid, "samples", v[T_SAMPLES], 0, model.max_samples);
			if (model.sampling && !e->exited)
				continue;
			e->known = 1;
		}
		shared->instants += v[T_TAKEN] + v[T_MISSED] - e->taken_least;
		e->instants = v[T_TAKEN] + v[T_MISSED];
		e->taken_least = e->taken_most = v[T_TAKEN];
		e->samples_least = e->samples_most = v[T_SAMPLES];
		e->pending = e->certain = 0;
	}
}

static int by_time(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->v[TIME] < y->v[TIME] ? -1 : x->v[TIME] > y->v[TIME];
}

static void check_parameters(void)
{
	const struct {
		const char *name;
		unsigned int value;
	} numbers[] = {
		{ "period_us", model.period_us }, { "max_samples", model.max_samples },
		{ "max_tasks", model.max_tasks }, { "max_mib", model.max_mib }, { "reserve", model.reserve },
	};
	char *text, expected[32];
	size_t len;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		char path[128];

		snprintf(path, sizeof(path), PARAMETERS_PATH "%s", numbers[i].name);
		text = slurp(path, &len);
		snprintf(expected, sizeof(expected), "%u\n", numbers[i].value);
		if (strcmp(text, expected))
			differ("%s is %s, expected %s", numbers[i].name, text, expected);
	}
	text = slurp(PARAMETERS_PATH "sampling", &len);
	if (strcmp(text, model.sampling ? "Y\n" : "N\n"))
		differ("sampling is %s, expected %c", text, model.sampling ? 'Y' : 'N');
}

/* Samples of a file against those of the tasks: of whom they are, how many, in which order. */
static void check_history(const struct row *rows, int n)
{
	int at = 0;

	for (int i = 0; i < model.count; i++) {
		const struct entry *e = &model.entries[i];

		if (model.choice && model.choice != e->task->pid)
			continue;
		for (u64 k = 0; k < e->samples_least; k++, at++) {
			const u64 *v = rows[at].v;

			if (at >= n || v[PID] != (u64)e->task->pid || v[START] != e->start)
				differ("history: sample %lu of %lu of task %d is missing; there is %.150s", k + 1,
				       e->samples_least, e->task->pid, at < n ? rows[at].text : "no more");
			if (v[SEQ] >= e->instants || (k && (v[SEQ] <= rows[at - 1].v[SEQ] || v[TIME] <= rows[at - 1].v[TIME])))
				differ("history: order, or a seq beyond %lu: %.150s", e->instants, rows[at].text);
			if ((v[STATE] == 'X') != (e->exited && k + 1 == e->samples_least))
				differ("history: state %c: %.150s", (char)v[STATE], rows[at].text);
		}
	}
	if (at != n)
		differ("history: more than expected: %.150s", rows[at].text);
}

static void check(void)
{
	struct row *history, *follow;
	u64 all = 0;
	int n, m, first;
	char *page;
	size_t len, at = 0;

	shared->checks++;
	check_parameters();
	settle();
	if (busy(&model) || unsure(&model))
		return;
	n = read_rows(FILE_PATH, sample_grammar, &history);
	check_history(history, n);

	/* Follow: all that is there, by time. */
	m = read_rows(FOLLOW_PATH, sample_grammar, &follow);
	for (int i = 0; i < model.count; i++)
		all += model.entries[i].samples_least;
	if (m < 0 || (u64)m != all)
		differ("follow: %d samples, expected %lu", m, all);
	for (int i = 1; i < m; i++)
		if (follow[i - 1].v[TIME] >= follow[i].v[TIME])
			differ("follow: not by time: %.150s", follow[i].text);
	qsort(history, n, sizeof(*history), by_time);
	for (int i = 0, k = 0; i < m; i++) {
		if (model.choice && follow[i].v[PID] != (u64)model.choice)
			continue;
		if (k >= n || follow[i].len != history[k].len || memcmp(follow[i].text, history[k].text, follow[i].len))
			differ("follow: not what the history shows: %.150s", follow[i].text);
		k++;
	}

	/* Sysfs: the newest, as many as fit. */
	page = slurp(SYSFS_PATH, &len);
	for (first = n; first > 0 && at + history[first - 1].len <= page_size - 1; first--)
		at += history[first - 1].len;
	if (len != at)
		differ("sysfs: %zu bytes, expected %zu", len, at);
	for (at = 0; first < n; at += history[first++].len)
		if (memcmp(page + at, history[first].text, history[first].len))
			differ("sysfs: not the newest by time: %.150s", page + at);
}

/* --- tasks ------------------------------------------------------------------------------------------ */

#define THREADS 3
struct message {
	char what;
	int tid;
};

static struct worker {
	char stack[16384] __attribute__((aligned(16)));
	int ends;
	int tid;
} workers[THREADS];

static int last_pid = -1;

static void next_pid(int pid)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", pid - 1);

	if (pwrite(last_pid, text, len, 0) != len)
		fail("ns_last_pid");
}

static int work(void *arg)
{
	struct worker *w = arg;
	char name[16];

	name_of(syscall(SYS_gettid), name);
	syscall(SYS_prctl, PR_SET_NAME, name);
	while (!__atomic_load_n(&w->ends, __ATOMIC_ACQUIRE))
		syscall(SYS_futex, &w->ends, FUTEX_WAIT, 0, NULL, NULL, 0);
	syscall(SYS_exit, 0);
	return 0;
}

/* A task: does nothing, but start and end threads. */
static void __attribute__((noreturn)) live(int socket)
{
	struct sched_param first = { .sched_priority = 1 };
	struct message message;
	char name[16];

	name_of(getpid(), name);
	if (sched_setscheduler(0, SCHED_FIFO, &first) || prctl(PR_SET_NAME, name))
		fail("a task");
	dup2(last_pid, 3);
	dup2(socket, 4);
	last_pid = 3;
	syscall(SYS_close_range, 5, ~0u, 0);
	while (read(4, &message, sizeof(message)) == sizeof(message)) {
		for (int i = 0; i < THREADS; i++) {
			struct worker *w = &workers[i];

			if (message.what == 'e' && w->tid == message.tid) {
				w->tid = 0;
				__atomic_store_n(&w->ends, 1, __ATOMIC_RELEASE);
				syscall(SYS_futex, &w->ends, FUTEX_WAKE, 1, NULL, NULL, 0);
				break;
			}
			if (message.what == 't' && !w->tid) {
				w->ends = 0;
				next_pid(message.tid);
				w->tid = clone(work, w->stack + sizeof(w->stack),
					       CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, w);
				message.tid = w->tid;
				break;
			}
		}
		if (write(4, &message, sizeof(message)) < 0)
			break;
	}
	_exit(0);
}

static char state_of(int process, int pid)
{
	char path[64], stat[512], *end;
	int fd;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", process, pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[n > 0 ? n : 0] = 0;
	end = strrchr(stat, ')');
	return end ? end[2] : 0;
}

static void await_state(int process, int pid, char wanted)
{
	u64 end = now() + LIMIT * 1000000000ull;

	while (state_of(process, pid) != wanted) {
		if (now() > end)
			fail("a task does not get into its state");
		usleep(100);
	}
}

static struct task *new_task(int pid, int process, int socket)
{
	if (tasks_count == sizeof(tasks) / sizeof(*tasks))
		fail("tasks");
	tasks[tasks_count] = (struct task){ .pid = pid, .process = process, .socket = socket };
	return &tasks[tasks_count++];
}

static void spawn(int pid, int stopped)
{
	int sockets[2];
	pid_t child = 0;

	if (task_of(pid) || pid < 2 || pid > 32000)
		return;
	for (int i = 0; child != pid; i++) {
		if (i == 1000)
			fail("a PID does not get free");
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
			fail("socketpair");
		next_pid(pid);
		child = fork();
		if (child < 0)
			fail("fork");
		if (!child)
			live(sockets[1]);
		close(sockets[1]);
		if (child != pid) {
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
			close(sockets[0]);
		}
	}
	await_state(pid, pid, 'S');
	if (stopped) {
		kill(pid, SIGSTOP);
		await_state(pid, pid, 'T');
	}
	new_task(pid, pid, sockets[0])->stopped = stopped;
}

static void thread(int pid, int tid)
{
	struct task *process = task_of(pid);
	struct message message = { 't', tid };

	if (!process || process->process != pid || pid == 1 || process->status != LIVING || process->stopped ||
	    process->threads == THREADS || task_of(tid) || tid < 2 || tid > 32000)
		return;
	for (int i = 0; i < 1000; i++) {
		if (write(process->socket, &message, sizeof(message)) < 0 ||
		    read(process->socket, &message, sizeof(message)) != sizeof(message))
			fail("a thread");
		if (message.tid == tid) {
			await_state(pid, tid, 'S');
			await_state(pid, pid, 'S');
			process->threads++;
			new_task(tid, pid, process->socket);
			return;
		}
		/* Another number: that one ends again. */
		message.what = 'e';
		if (write(process->socket, &message, sizeof(message)) < 0 ||
		    read(process->socket, &message, sizeof(message)) != sizeof(message))
			fail("a thread");
		await_state(pid, message.tid, 0);
		message = (struct message){ 't', tid };
	}
	fail("a TID does not get free");
}

/* Ends a task: `reaped`, or a zombie. What has not been recorded when sampling is busy will be, soon. */
static void end(int pid, int reaped)
{
	struct task *task = task_of(pid);
	siginfo_t info;

	if (!task || pid == 1 || task->status != LIVING || unsure(&model))
		return;
	if (!busy(&model))
		settle();
	if (task->process != pid) {
		struct message message = { 'e', pid };
		struct task *process = task_of(task->process);

		if (!reaped)
			return;
		if (write(task->socket, &message, sizeof(message)) < 0 ||
		    read(task->socket, &message, sizeof(message)) != sizeof(message))
			fail("a thread");
		await_state(task->process, pid, 0);
		await_state(task->process, task->process, 'S');
		process->threads--;
		task->status = GONE;
	} else {
		kill(pid, SIGKILL);
		if (reaped ? waitpid(pid, NULL, 0) != pid : waitid(P_PID, pid, &info, WEXITED | WNOWAIT))
			fail("wait");
		close(task->socket);
		for (int i = 0; i < tasks_count; i++)
			if (tasks[i].process == pid && tasks[i].status == LIVING)
				tasks[i].status = GONE;
		task->status = reaped ? GONE : ENDED;
	}
	if (busy(&model)) {
		model.race = 1;
		settle();
	}
}

static void reap(int pid)
{
	struct task *task = task_of(pid);

	if (!task || task->status != ENDED)
		return;
	if (waitpid(pid, NULL, 0) != pid)
		fail("wait");
	task->status = GONE;
}

/* --- operations --------------------------------------------------------------------------------------- */

#define SLOTS 6
static struct slot {
	int fd, sysfs, first;
} slots[SLOTS];

static void load(const char *parameters)
{
	int fd = open("taskmonitor.ko", O_RDONLY | O_CLOEXEC);
	char path[] = PARAMETERS_PATH "max_mib", *text;
	size_t len;

	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0))
		fail("insmod");
	close(fd);
	model = (struct model){ .sampling = 1, .period_us = 1000000, .max_samples = 3600, .max_tasks = 16384, .reserve = 64 };
	sscanf(strstr(parameters, "max_tasks="), "max_tasks=%u", &model.max_tasks);
	sscanf(strstr(parameters, "period_us="), "period_us=%u", &model.period_us);
	if (strstr(parameters, "max_samples="))
		sscanf(strstr(parameters, "max_samples="), "max_samples=%u", &model.max_samples);
	if (strstr(parameters, "sampling=N"))
		model.sampling = 0;
	if (model.max_tasks >= MAX_ENTRIES)
		fail("max_tasks");
	if (strstr(parameters, "target=1"))
		add(&model, 1);
	/* The default is 5 % of the memory, at least 1 MiB. */
	text = slurp(path, &len);
	model.max_mib = atoi(text);
	if (model.max_mib != (ram_mib() / 20 ? ram_mib() / 20 : 1))
		differ("max_mib is %u of %u", model.max_mib, ram_mib());
}

static void compare(const char *what, long got, long expected, const struct outcome *o)
{
	if (got != expected)
		differ("%s: returned %ld%s%s, expected %ld%s%s (commands: %ld)", what, got, got < 0 ? " " : "",
		       got < 0 ? strerrorname_np(-got) : "", expected, expected < 0 ? " " : "",
		       expected < 0 ? strerrorname_np(-expected) : "", o ? o->commands : 1);
}

static long answer(long result)
{
	return result < 0 ? -errno : result;
}

static long write_slot(int slot, const char *data, size_t len)
{
	struct slot *s = &slots[slot % SLOTS];
	struct model scratch = model;
	struct outcome o;
	long got;

	if (s->fd < 0)
		return 0;
	o = (s->sysfs ? write_sysfs : write_debugfs)(&scratch, data, len, s->first, 0);
	if (o.cut)
		len = o.done;
	o = (s->sysfs ? write_sysfs : write_debugfs)(&model, data, len, s->first, 1);
	if (len || !s->sysfs)
		s->first = 0;
	got = answer(write(s->fd, data, len));
	shared->commands += o.commands;
	compare(s->sysfs ? "write to sysfs" : "write to debugfs", got, result_of(&o), &o);
	if (model.race)
		settle();
	return got;
}

static void set(const char *name, const char *data, size_t len)
{
	static char text[MAX_PAGE + 1];
	char path[128];
	int fd, writable = strcmp(name, "target") && strcmp(name, "max_tasks");
	long expected, got;

	snprintf(path, sizeof(path), PARAMETERS_PATH "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	shared->commands++;
	if (!writable || fd < 0) {
		compare(name, answer(fd), writable ? 0 : -EACCES, NULL);
		shared->results[EACCES]++;
		return;
	}
	len = len < page_size ? len : page_size;
	memcpy(text, data, len);
	text[len] = 0;
	expected = len ? set_parameter(&model, name, text) : 0;
	shared->results[-expected]++;
	if (!expected)
		expected = len;
	got = answer(write(fd, data, len));
	close(fd);
	compare(name, got, expected, NULL);
	if (model.race)
		settle();
	check_parameters();
}

static long carry_out(const struct op *op)
{
	struct slot *s = &slots[(unsigned int)op->a % SLOTS];

	switch (op->kind) {
	case OPEN:
		if (s->fd >= 0)
			close(s->fd);
		*s = (struct slot){ open(op->b ? SYSFS_PATH : FILE_PATH, O_RDWR | O_CLOEXEC), op->b, 1 };
		if (s->fd < 0)
			differ("open: %s", strerrorname_np(errno));
		break;
	case WRITE:
		return write_slot(op->a, op->data, op->len);
	case CLOSE:
		if (s->fd >= 0)
			close(s->fd);
		s->fd = -1;
		break;
	case SET: {
		size_t name = strlen(op->data) + 1;

		set(op->data, op->data + name, op->len - name);
		break;
	}
	case SPAWN:
	case STOPPED:
		spawn(op->a, op->kind == STOPPED);
		break;
	case THREAD:
		thread(op->a, op->b);
		break;
	case KILL:
	case ZOMBIE:
		end(op->a, op->kind == KILL);
		break;
	case REAP:
		reap(op->a);
		break;
	case CHECK:
		check();
		break;
	default:
		break;
	}
	return 0;
}

/* --- the generator ------------------------------------------------------------------------------------- */

/* Prefixes of each other, so that what is cut off is another PID. */
static const int pids[] = { 2, 3, 12, 13, 20, 123, 124, 200, 1234, 1235, 1236, 2000, 12345, 12346, 20000 };

static long emit(enum kind kind, int a, int b, const char *data, size_t len)
{
	struct op *op = &shared->ops[shared->count];

	if (shared->count == OPS)
		fail("operations");
	*op = (struct op){ kind, a, b, data ? keep(data, len) : NULL, len };
	shared->at = shared->count++;
	return carry_out(op);
}

static size_t wild_line(char *line)
{
	static const char *const some[] = {
		"", " ", "\t", "0", "00", "-0", "+1", "-", "--1", "- 1", "-+1", "0x10", "0x1", "010", "01", "007", "1.5",
		"1e3", "1,2", "1 2", "2147483647", "2147483648", "4294967297", "4294967295", "18446744073709551617",
		"99999999999999999999999", "-2147483647", "-2147483648", "-4294967297", "4194303", "4194304", "p",
		"pr", "prin", "print", "print ", "print a", "print al", "print allx", "print all all", "printall",
		"print1", "print -1", "print 0", "print 01", "print 1 2", "print 2147483648", "print 2147483647", "PRINT all",
		"print ALL", "c", "cl", "clea", "clearr", "clear clear", "s", "st", "sta", "star", "startx", "sto",
		"stopp", "stop start", "-stop", "Start", "all", "\v1", "1\v", "\xc2\xa0" "1", "clear;", "\xff", "*", "~", "$$",
	};
	static const char bytes[] = " \t\r\f\v-+0123456789x.,printalcleostu\\\x7f\x80\xff";
	size_t len = 0;

	switch (below(5)) {
	case 0:
	case 1:
	case 2:
		len = strlen(strcpy(line, PICK(some)));
		break;
	case 3:
		for (len = below(chance(5) ? 300 : 12); len && line < line + len;) {
			for (size_t i = 0; i < len; i++)
				line[i] = chance(3) ? 0 : bytes[below(sizeof(bytes) - 1)];
			break;
		}
		break;
	default:
		len = snprintf(line, 32, "%lu", (unsigned long)(any() >> below(64)));
	}
	return len;
}

static size_t command_line(char *line)
{
	int pid = chance(85) ? PICK(pids) : chance(50) ? 1 : (int)below(30);
	const char *separator = chance(85) ? " " : chance(50) ? "  " : " \t ";

	switch (below(100)) {
	case 0 ... 44:
		return sprintf(line, "%d", pid);
	case 45 ... 68:
		return sprintf(line, "-%d", pid);
	case 69 ... 80:
		return sprintf(line, "print%s%d", separator, pid);
	case 81 ... 86:
		return sprintf(line, "print%sall", separator);
	case 87 ... 88:
		return sprintf(line, "clear");
	case 89 ... 93:
		return sprintf(line, "start");
	default:
		return sprintf(line, "stop");
	}
}

/* Blanks around it, up to and beyond the longest line; or a byte of it is another. */
static size_t decorate(char *line, size_t len)
{
	static const char blanks[] = "  \t\r\f";
	static const char bytes[] = "\0 -+0\vx\xff\n,";
	size_t before = 0, behind = 0;

	if (chance(8))
		before = below(4), behind = below(4);
	else if (chance(2) && len < 60)
		before = below(62 - len), behind = 62 + below(5) - len - before;
	memmove(line + before, line, len);
	for (size_t i = 0; i < before; i++)
		line[i] = blanks[below(sizeof(blanks) - 1)];
	for (size_t i = 0; i < behind; i++)
		line[before + len + i] = blanks[below(sizeof(blanks) - 1)];
	len += before + behind;
	if (chance(1) && len)
		line[below(len)] = bytes[below(sizeof(bytes) - 1)];
	return len;
}

/* Lines, most of which can be carried out, as the model sees it. */
static size_t stream(char *text, size_t size)
{
	struct model scratch = model;
	int count = chance(50) ? 1 + below(8) : chance(80) ? 1 + below(60) : 1 + below(600);
	size_t len = 0;

	while (count-- && len + 1000 < size) {
		char line[512];
		size_t n = 0;

		if (chance(2)) {
			n = decorate(line, wild_line(line));
		} else {
			int tries = chance(97) ? 12 : 1;

			while (tries--) {
				struct model trial = scratch;

				n = decorate(line, command_line(line));
				if (!memchr(line, '\n', n) && !command(&trial, line, n)) {
					scratch = trial;
					scratch.race = 0;
					break;
				}
			}
		}
		memcpy(text + len, line, n);
		len += n;
		text[len++] = '\n';
	}
	/* The last newline is missing. */
	if (chance(25))
		len--;
	return len;
}

static void random_writes(void)
{
	static char text[65536];
	size_t len = chance(97) ? stream(text, sizeof(text)) : 0, at = 0, rest = 0;
	int sysfs = chance(35), slot = below(SLOTS), way = below(10), again = chance(50);

	if (!len && chance(50)) {
		/* Nothing that is a line. */
		len = below(20000);
		memset(text, PICK("1 \n\xff" "a\t"), len);
		if (len && chance(50))
			memcpy(text, "stop\nstart\n", least(len, 11));
	}
	if (slots[slot].fd < 0 || chance(70))
		emit(OPEN, slot, sysfs, NULL, 0);
	if (way < 5) {
		emit(WRITE, slot, 0, text, len);
	} else if (way == 5) {
		/* As a program does that goes on behind what was taken. */
		for (int i = 0; i < 20 && at < len; i++) {
			long got = emit(WRITE, slot, 0, text + at, len - at);

			if (got <= 0)
				break;
			at += got;
		}
	} else if (way < 9) {
		/* Cut anywhere, over one open file or several; what was not taken comes again with the next, or not. */
		int pieces = 2 + below(len < 30 ? 30 : 6), others = chance(30);

		for (int i = 0; i < pieces && at < len; i++) {
			size_t end = i == pieces - 1 ? len : at + below(len - at + 1);
			long got;

			if (others) {
				slot = below(SLOTS);
				if (slots[slot].fd < 0)
					emit(OPEN, slot, sysfs, NULL, 0);
			}
			got = emit(WRITE, slot, 0, text + at - rest, end - at + rest);
			rest = again ? end - (at - rest) - (got > 0 ? got : 0) : 0;
			at = end;
			if (rest > at)
				rest = 0;
		}
	} else {
		for (at = 0; at < len && at < 40; at++)
			emit(WRITE, slot, 0, text + at, 1);
	}
	if (chance(60))
		emit(CLOSE, slot, 0, NULL, 0);
}

static void random_parameter(void)
{
	static const char *const names[] = {
		"period_us", "max_samples", "max_mib", "reserve", "sampling", "sampling", "period_us", "max_samples",
		"target", "max_tasks",
	};
	static const char *const numbers[] = {
		"", "\n", " 1", "1 ", "1\n\n", "-1", "-0", "+", "+200", "1.5", "0x", "0x64", "0X65", "0144", "08", "one", "0",
		"99", "100", "3600000000", "3600000001", "16777216", "16777217", "4294967295", "4294967296", "4294967396",
		"18446744073709551716", "99999999999999999999999", "4097", "1e3", "100\n", "0000000100", "1,2", "\xff",
	};
	static const char *const bools[] = {
		"Y", "N", "1", "0", "y", "n", "on", "off", "yes", "no", "ON", "Off", "Y\n", "N\n", "0\n", "1\n", "o", "ox", "2", "",
		"\n", " Y", "maybe", "-1", "on\n", "nonsense",
	};
	const char *name = PICK(names);
	char data[8192];
	size_t len = strlen(strcpy(data, name)) + 1, at = len;

	if (!strcmp(name, "sampling")) {
		len += sprintf(data + len, "%s", PICK(bools));
	} else if (chance(50)) {
		unsigned int value = 1 + below(300);

		if (!strcmp(name, "period_us"))
			value = chance(65) ? LONG + below(3000000000u) : 100 + below(5000);
		if (!strcmp(name, "max_samples") && chance(60))
			value = 1 + below(20);
		if (!strcmp(name, "max_mib"))
			value = chance(80) ? 1 + below(ram_mib()) : ram_mib() + below(3);
		len += sprintf(data + len, chance(90) ? "%u" : "0x%x", value);
	} else {
		len += sprintf(data + len, "%s", PICK(numbers));
	}
	if (chance(50))
		data[len++] = '\n';
	if (chance(4)) {
		/* Behind a NUL, or without one, much. */
		size_t more = below(chance(30) ? 6000 : 10);

		if (chance(50))
			data[len++] = 0;
		memset(data + len, '1', more);
		len += more;
	}
	if (chance(3) && len > at)
		data[at + below(len - at)] = any();
	emit(SET, 0, 0, data, len);
}

static void random_task(void)
{
	int pid = PICK(pids);
	const struct task *task = task_of(pid);

	if (!task) {
		int process = PICK(pids);

		if (chance(30) && task_of(process))
			emit(THREAD, process, pid, NULL, 0);
		else
			emit(chance(85) ? SPAWN : STOPPED, pid, 0, NULL, 0);
	} else if (task->status == ENDED) {
		if (chance(40))
			emit(REAP, pid, 0, NULL, 0);
	} else if (chance(40)) {
		emit(chance(60) ? KILL : ZOMBIE, pid, 0, NULL, 0);
	}
}

static void random_load(void)
{
	static const char *const loads[] = {
		"max_tasks=6 period_us=3600000000", "max_tasks=6 period_us=3600000000 max_samples=5",
		"max_tasks=6 period_us=3600000000 sampling=N max_samples=40", "max_tasks=1 period_us=3600000000",
		"max_tasks=2 period_us=3600000000 target=1", "max_tasks=6 period_us=1000 target=1 max_samples=18",
		"max_tasks=3 period_us=3600000000 max_samples=1", "max_tasks=10 period_us=3600000000 max_samples=17",
	};
	const char *parameters = chance(50) ? loads[0] : PICK(loads);

	emit(LOAD, 0, 0, parameters, strlen(parameters) + 1);
}

static void generate(long count)
{
	for (int i = 0; i < 8; i++)
		emit(SPAWN, pids[2 * i % 15], 0, NULL, 0);
	while (shared->commands < count) {
		unsigned int choice = below(100);

		if (busy(&model) && chance(30))
			emit(SET, 0, 0, "sampling\0N", 10);
		else if (unsure(&model) && chance(30))
			emit(SET, 0, 0, "sampling\0N", 10);
		else if (choice < 55)
			random_writes();
		else if (choice < 72)
			random_parameter();
		else if (choice < 90)
			random_task();
		else
			emit(CHECK, 0, 0, NULL, 0);
	}
	emit(SET, 0, 0, "sampling\0N", 10);
	emit(CHECK, 0, 0, NULL, 0);
}

/* --- rounds, and making a case shorter ------------------------------------------------------------------ */

static int unload(void)
{
	for (int i = 0; i < LIMIT * 100; i++) {
		if (!syscall(SYS_delete_module, "taskmonitor", O_NONBLOCK) || errno == ENOENT)
			return 0;
		usleep(10000);
	}
	return -1;
}

/* One round: `count` random commands, or with 0 the operations that there are. */
static void __attribute__((noreturn)) round_child(long count)
{
	char name[16];

	/* In the new namespace, /proc is another. */
	if (mount("proc", "/proc", "proc", 0, NULL))
		fail("/proc");
	last_pid = open("/proc/sys/kernel/ns_last_pid", O_RDWR | O_CLOEXEC);
	if (last_pid < 0)
		fail("ns_last_pid");
	name_of(1, name);
	if (prctl(PR_SET_NAME, name))
		fail("a name");
	new_task(1, 1, -1);
	for (int i = 0; i < SLOTS; i++)
		slots[i].fd = -1;
	/* Whatever hangs is a difference, too. */
	alarm(300);
	if (count) {
		random_load();
		load(shared->ops[0].data);
		generate(count);
	} else {
		if (!shared->count || shared->ops[0].kind != LOAD) {
			fprintf(stderr, "fuzz: a case begins with load\n");
			exit(2);
		}
		load(shared->ops[0].data);
		for (shared->at = 1; shared->at < shared->count; shared->at++)
			carry_out(&shared->ops[shared->at]);
		shared->at--;
	}
	for (int i = 0; i < SLOTS; i++)
		if (slots[i].fd >= 0)
			close(slots[i].fd);
	if (syscall(SYS_delete_module, "taskmonitor", O_NONBLOCK))
		differ("rmmod: %s", strerrorname_np(errno));
	_exit(0);
}

/* Returns 0, or 1 if there was a difference. */
static int run_round(long count)
{
	int status;
	pid_t child;

	shared->failed = shared->at = 0;
	shared->commands = 0;
	child = syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
	if (child < 0)
		fail("clone");
	if (!child)
		round_child(count);
	if (waitpid(child, &status, 0) != child)
		fail("wait");
	if (unload())
		fail("the module stays");
	if (WIFSIGNALED(status)) {
		shared->failed = 1;
		snprintf(shared->what, sizeof(shared->what), "ended by signal %d (14: it hung)", WTERMSIG(status));
	} else if (WEXITSTATUS(status) == 2) {
		fprintf(stderr, "fuzz: at operation %d: ", shared->at);
		print_op(stderr, &shared->ops[shared->at]);
		exit(2);
	}
	return shared->failed;
}

static long trials;
static u64 trials_end;
#define TRIALS 250
#define TRIALS_S 600

/* (Where the difference is that something is waited for in vain, each trial waits.) */
static int may_try(void)
{
	return trials < TRIALS && now() < trials_end;
}

static int still_differs(void)
{
	trials++;
	return run_round(0);
}

/* Takes away as many operations as possible, in ever smaller pieces. */
static void shrink_operations(void)
{
	static struct op all[OPS];

	for (int piece = shared->count / 2; piece && may_try(); piece /= 2) {
		/* From the end, which matters most, to the beginning; the load stays. */
		for (int from = shared->count - piece; from > 1 - piece && may_try(); from -= piece) {
			int begin = from < 1 ? 1 : from, count = shared->count;

			if (from + piece <= begin)
				break;
			memcpy(all, shared->ops, count * sizeof(*all));
			memmove(&shared->ops[begin], &shared->ops[from + piece],
				(count - from - piece) * sizeof(*all));
			shared->count = count - (from + piece - begin);
			if (still_differs()) {
				/* What comes behind the difference goes, too. */
				shared->count = shared->at + 1;
				if (from > shared->count - piece)
					from = shared->count;
				continue;
			}
			memcpy(shared->ops, all, count * sizeof(*all));
			shared->count = count;
		}
	}
}

/* The same with the bytes of what is written. */
static void shrink_data(void)
{
	for (int i = shared->count - 1; i > 0; i--) {
		struct op *op = &shared->ops[i];

		if (op->kind != WRITE)
			continue;
		for (size_t piece = op->len; piece && may_try(); piece /= 2) {
			for (size_t from = 0; from + piece <= op->len && may_try();) {
				struct op was = *op;
				int count = shared->count;
				char *less = malloc(was.len);

				memcpy(less, was.data, from);
				memcpy(less + from, was.data + from + piece, was.len - from - piece);
				op->len = was.len - piece;
				op->data = keep(less, op->len);
				free(less);
				if (!still_differs()) {
					*op = was;
					from += piece;
				}
				shared->count = count;
			}
		}
	}
}

static void report(u64 seed, long round)
{
	if (seed)
		printf("seed %lu, round %ld, operation %d of it: ", seed, round, shared->at);
	else
		printf("operation %d: ", shared->at);
	puts(shared->what);
	printf("that was: ");
	print_op(stdout, &shared->ops[shared->at]);
}

static int fuzz(u64 seed, long count)
{
	long commands = 0;

	for (long round = 1; commands < count; round++) {
		state = seed + 0x632be59bd9b4e019 * (u64)round;
		shared->count = shared->used = 0;
		if (run_round(least(count - commands, wrong ? 200 : 2000))) {
			report(seed, round);
			fflush(stdout);
			shared->count = shared->at + 1;
			trials_end = now() + TRIALS_S * 1000000000ull;
			shrink_operations();
			shrink_data();
			shrink_operations();
			if (!run_round(0))
				printf("(the case that was found last does not show it any more: it depends on time)\n");
			printf("after %ld trials: ", trials);
			report(0, 0);
			puts("--");
			for (int i = 0; i < shared->count; i++)
				print_op(stdout, &shared->ops[i]);
			return 1;
		}
		commands += shared->commands;
	}
	printf("seed %lu: %ld commands, %ld checks, %ld instants;", seed, commands, shared->checks, shared->instants);
	for (int i = 0; i < 4096; i++)
		if (shared->results[i])
			printf(" %ld %s", shared->results[i], i ? strerrorname_np(i) : "ok");
	putchar('\n');
	return 0;
}

static int replay(const char *path)
{
	read_case(path);
	if (!run_round(0)) {
		printf("no difference in %d operations\n", shared->count);
		return 0;
	}
	report(0, 0);
	return 1;
}

/* --- noise: odd system calls --------------------------------------------------------------------------- */

static const char *const noise_paths[] = { FILE_PATH, FOLLOW_PATH, TASKS_PATH, SYSFS_PATH };
enum { N_HISTORY, N_FOLLOW, N_TASKS, N_SYSFS, N_FILES };

static int noise_file;
static const char *noise_call;
static long noise_counts[2];

static void __attribute__((noreturn)) odd(const char *what, long result)
{
	printf("%s of %s: %s (%ld %s)\n", noise_call, noise_paths[noise_file], what, result,
	       result < 0 ? strerrorname_np(-result) : "");
	exit(1);
}

/* The call must have succeeded, with at most `most`, or be one of these errors (up to a 0). */
static long allowed(const char *call, long result, long most, ...)
{
	va_list errors;
	int error;

	noise_call = call;
	noise_counts[result < 0]++;
	if (result >= 0) {
		if (result > most)
			odd("more than can be", result);
		return result;
	}
	result = -errno;
	va_start(errors, most);
	while ((error = va_arg(errors, int)))
		if (-error == result)
			break;
	va_end(errors);
	if (!error)
		odd("no such error is to be expected", result);
	return result;
}

/* Whole lines, but for what the beginning and the end cut off. */
static void well_formed(const char *p, long len)
{
	const struct grammar *g = noise_file == N_TASKS ? task_grammar : sample_grammar;
	const char *end = p + len, *next = NULL;

	if (len <= 0)
		return;
	for (const struct grammar *from = g; !next; from++) {
		for (size_t skip = 0; !next && skip <= strlen(from->before); skip++)
			next = match(from, skip, p, end, 1, NULL);
		if (!from->kind)
			break;
	}
	for (p = next; p && p < end; p = next) {
		next = match(g, 0, p, end, 1, NULL);
		if (!next) {
			printf("%.200s\n", p);
			odd("another form", len);
		}
	}
	if (!p)
		odd("begins in another form", len);
}

static void one_call(int fd, int other, int pipes[2])
{
	static char buffer[65536], *edge;
	size_t size = chance(50) ? 1 + below(200) : 1 + below(sizeof(buffer));
	off_t offset = chance(70) ? (off_t)below(20000) : chance(50) ? (off_t)(any() >> 1) : -(off_t)below(1000);
	int sysfs = noise_file == N_SYSFS, follow = noise_file == N_FOLLOW;
	struct iovec v[8];
	long n;

	if (!edge) {
		edge = mmap(NULL, 2 * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (edge == MAP_FAILED || mprotect(edge + page_size, page_size, PROT_NONE))
			fail("mmap");
	}
	switch (below(20)) {
	case 0 ... 2:
		n = allowed("read", read(fd, buffer, size), size, 0);
		well_formed(buffer, n);
		break;
	case 3 ... 4:
		/* At an offset of one's choice a stream cannot be read. */
		n = allowed("pread", pread(fd, buffer, size, offset), follow && offset >= 0 ? -1 : (long)size,
			    follow ? ESPIPE : EINVAL, EINVAL, 0);
		if (offset < 0 && n >= 0)
			odd("an offset below 0", n);
		well_formed(buffer, n);
		break;
	case 5 ... 6: {
		int whence = below(7);

		n = allowed("lseek", lseek(fd, offset, whence), INT64_MAX, EINVAL, sysfs ? ENXIO : EINVAL,
			    sysfs ? EOVERFLOW : EINVAL, 0);
		if (whence == SEEK_SET && n >= 0 && n != offset)
			odd("another place", n);
		break;
	}
	case 7:
		lseek(fd, 0, SEEK_SET);
		break;
	case 8:
		n = allowed("read into a page that ends", read(fd, edge + page_size - size % 300, page_size), size % 300, EFAULT, 0);
		well_formed(edge + page_size - size % 300, n);
		break;
	case 9:
		n = allowed("read to a bad address", read(fd, edge + page_size + below(4096), size), 0, EFAULT, 0);
		break;
	case 10: {
		size_t total = 0, at = 0;

		for (int i = 0; i < 8; i++) {
			v[i].iov_len = chance(30) ? 0 : chance(50) ? 1 : below(500);
			v[i].iov_base = buffer + at;
			at += v[i].iov_len;
			total += v[i].iov_len;
		}
		n = allowed("readv", chance(50) ? readv(fd, v, 8) : preadv(fd, v, 8, offset), total, EINVAL,
			    follow ? ESPIPE : EINVAL, 0);
		/* Each part is a read of its own, between which others may use the file. */
		for (int i = 0; i < 8 && n > 0; n -= v[i++].iov_len)
			well_formed(v[i].iov_base, n < (long)v[i].iov_len ? n : (long)v[i].iov_len);
		break;
	}
	case 11:
		/* debugfs has no splice; sysfs has. */
		n = allowed("splice", splice(fd, NULL, pipes[1], NULL, size % 3000, SPLICE_F_NONBLOCK), sysfs ? 3000 : 0, EINVAL,
			    sysfs ? EAGAIN : EINVAL, 0);
		while (n > 0) {
			long got = read(pipes[0], buffer, n);

			if (got <= 0)
				break;
			well_formed(buffer, got);
			n -= got;
		}
		break;
	case 12:
		/* (That is said of a place far beyond the end before the file is asked.) */
		allowed("sendfile", sendfile(other, fd, NULL, size % 5000), sysfs ? 5000 : 0, EINVAL, EOVERFLOW,
			sysfs ? EAGAIN : EINVAL, 0);
		break;
	case 13: {
		void *mapped = mmap(NULL, page_size, PROT_READ | (chance(50) ? PROT_WRITE : 0), chance(50) ? MAP_SHARED : MAP_PRIVATE,
				    fd, chance(50) ? 0 : page_size);

		allowed("mmap", mapped == MAP_FAILED ? -1 : 1, 0, ENODEV, EACCES, 0);
		break;
	}
	case 14: {
		static const unsigned long requests[] = { 0, 1, 0x5401, 0x5413, 0x80084d00, 0xc0184d01, ~0u };
		unsigned long request;

		/* (1 is FIBMAP, for which the kernel has an answer of its own.) */
		request = PICK(requests);
		allowed("ioctl", ioctl(fd, request, buffer), -1, ENOTTY, request == 1 ? EINVAL : ENOTTY, 0);
		break;
	}
	case 15: {
		int copy = dup(fd);

		allowed("read of a copy", n = read(copy, buffer, size), size, 0);
		well_formed(buffer, n);
		allowed("close of a copy", close(copy), 0, 0);
		break;
	}
	case 16:
		allowed("O_NONBLOCK", fcntl(fd, F_SETFL, chance(50) ? O_NONBLOCK : 0), 0, 0);
		break;
	case 17: {
		struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT | POLLPRI };

		n = allowed("poll", poll(&p, 1, below(15)), 1, 0);
		if (p.revents & (POLLNVAL | POLLHUP) || (p.revents & POLLERR && !sysfs))
			odd("revents", p.revents);
		if (!n && !follow)
			odd("a timeout of a file that is always ready", n);
		break;
	}
	case 18:
		/* Open for reading alone. */
		allowed("write", write(fd, buffer, size), -1, EBADF, 0);
		allowed("ftruncate", ftruncate(fd, 5), -1, EINVAL, 0);
		break;
	default:
		allowed("fsync", fsync(fd), 0, sysfs ? 0 : EINVAL, 0);
	}
}

static void noise_child(int *fds, long count, int pipes[2])
{
	int other = open("/dev/null", O_WRONLY | O_CLOEXEC);

	for (long i = 0; i < count; i++) {
		noise_file = below(N_FILES);
		if (chance(5)) {
			close(fds[noise_file]);
			fds[noise_file] = open(noise_paths[noise_file], O_RDONLY | O_CLOEXEC | (chance(30) ? O_NONBLOCK : 0));
			if (fds[noise_file] < 0)
				odd("open", -errno);
		}
		one_call(fds[noise_file], other, pipes);
	}
}

/*
 * Four processes, which begin with the same open files, and of which two end in the midst of what they do; and
 * again, until `count` calls are done.
 */
static int noise(u64 seed, long count)
{
	long calls = 0;

	for (int turn = 0; calls < count; turn++) {
		int fds[N_FILES];
		pid_t children[4];

		for (int i = 0; i < N_FILES; i++) {
			fds[i] = open(noise_paths[i], O_RDONLY | O_CLOEXEC);
			if (fds[i] < 0)
				fail(noise_paths[i]);
		}
		for (int i = 0; i < 4; i++) {
			children[i] = fork();
			if (children[i] < 0)
				fail("fork");
			if (!children[i]) {
				int pipes[2];

				state = seed + 0x632be59bd9b4e019 * (u64)(4 * turn + i + 1);
				if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
					fail("pipe");
				alarm(300);
				/* Those that are killed would go on for ever. */
				noise_child(fds, i < 2 ? 250 : INT32_MAX, pipes);
				__atomic_fetch_add(&shared->results[0], noise_counts[0], __ATOMIC_RELAXED);
				__atomic_fetch_add(&shared->results[1], noise_counts[1], __ATOMIC_RELAXED);
				exit(0);
			}
		}
		for (int i = 0; i < 4; i++) {
			int status;

			if (i == 2)
				usleep(any() % 20000);
			if (i >= 2)
				kill(children[i], SIGKILL);
			if (waitpid(children[i], &status, 0) != children[i])
				fail("wait");
			if (i < 2 ? status : !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
				printf("seed %lu, turn %d: process %d ended with status %x\n", seed, turn, i, status);
				for (i++; i < 4; i++)
					kill(children[i], SIGKILL);
				return 1;
			}
		}
		calls += 500;
		for (int i = 0; i < N_FILES; i++)
			close(fds[i]);
	}
	printf("seed %lu: %ld calls, of which %ld were errors, and those of the processes that were killed\n", seed,
	       shared->results[0] + shared->results[1], shared->results[1]);
	return 0;
}

int main(int argc, char **argv)
{
	cpu_set_t one;

	page_size = sysconf(_SC_PAGESIZE);
	setlinebuf(stdout);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap");
	if (argc == 4 && !strcmp(argv[1], "noise"))
		return noise(strtoull(argv[2], NULL, 10), atol(argv[3]));
	if (argc > 2 && !strcmp(argv[1], "--wrong")) {
		while (wrong < sizeof(rules) / sizeof(*rules) && strcmp(rules[wrong], argv[2]))
			wrong++;
		if (wrong == sizeof(rules) / sizeof(*rules))
			argc = 0;
		argc -= 2;
		argv += 2;
	}
	if (argc != 3) {
		fprintf(stderr, "fuzz: see the head of tests/fuzz.c\n");
		return 2;
	}
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		fail("sched_setaffinity");
	/* What is mounted in a round stays there. */
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		fail("mount");
	if (!strcmp(argv[1], "replay"))
		return replay(argv[2]);
	return fuzz(strtoull(argv[1], NULL, 10), atol(argv[2]));
}
