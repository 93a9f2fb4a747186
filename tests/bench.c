// SPDX-License-Identifier: GPL-2.0-only
/*
 * What tests/bench.guest measures with. Time is in ns, which under -icount are instructions; what something
 * takes is what the process has run for, without others in between. Built statically by scripts/build.sh. PIDs
 * come on stdin, figures go to stdout.
 *
 * Loads. None of them asks for the time: that would bring their counters up to date, which is the
 * scheduler's business. The first two print their PIDs, and an empty line when all are there; SIGTERM ends
 * them.
 *   sleepers N THREADS      N processes of so many threads, which all wait for good
 *   busy N                  N processes that count in a loop
 *   count N                 counts to N; prints how long that took
 *   reader FILE             reads the file again and again
 *   press MIB               fills so much memory and gives it back, again and again
 *
 * The module.
 *   rounds N PERIOD_US      waits for N rounds of the sampling thread; prints how many there were, the
 *                           thread's whole run time, and how many samples were missed. Fails unless each
 *                           task has a sample of each of them
 *   sampler                 prints the PID of the sampling thread
 *   pagesize                prints the size of a page, in bytes
 *   follow SECONDS          copies what taskmonitor_follow has to stdout, as it comes
 *   await KEY N             until this field of the first task has got that far
 *   wakeups SECONDS         how often the sampling thread was switched to in this time
 *   agree                   fails unless the newest samples of the first tasks of stdin, and of the last one, say
 *                           what /proc says
 *   toggle                  adds and removes each PID; prints what a write took, at the median, for either
 *   news BUFFER             reads taskmonitor_follow to its end, adds the PIDs, reads on; prints bytes, lines
 *                           and what that took
 *   lateness PERIOD_US      how late the samples of stdin are, as below
 *   pipe TIMES              passes a byte through a pipe, so often, which takes and leaves a mutex each time; prints
 *                           what that took
 *   holds COST              reads what the function tracer has seen of _raw_spin_lock(), _raw_spin_trylock(),
 *                           mutex_lock() and their opposites, with time in instructions, of which seeing one call costs COST; prints how
 *                           long the module kept a spinlock at most, a mutex at most, how often it had a
 *                           spinlock, and how often a timer came in between, which does not count
 *
 * Files.
 *   read FILE BUFFER        reads the file; prints bytes, lines and what that took
 *   write FILE              writes what stdin has, at once; prints bytes and what that took
 *
 * Others that look at tasks.
 *   pread NAME TIMES        reads /proc/PID/NAME by a descriptor that is kept open, so often; prints how many
 *                           reads that were, and what they took
 *   open NAME TIMES         the same with open(), read() and close()
 *   iterator TIMES          the same with a BPF task iterator, which goes through all tasks there are
 *   cost FILE COMMAND...    runs the command with its output in the file; prints the CPU time that it took
 *   sleeper TIMES PERIOD_US waits for so many instants of a grid, and does nothing else; prints how many, and what
 *                           that took
 *   user PERIOD_US SECONDS  a thread that waits for each instant of a grid, with the timer slack of a kernel
 *                           thread: how late it is, as below
 *   poller PID PERIOD_US SECONDS
 *                           a program that polls /proc/PID/stat, and sleeps for the period in between
 *
 * Lateness: each look counts for the last instant that had come, and is late by the time since the first that
 * had come after the look before it. Instants are START + k * PERIOD, with START such that the earliest look is in
 * time. Printed: how many looks there were, how many instants passed without one, and of the lateness in ns the
 * median, 90 %, 99 % and the most.
 */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_NAME "/sys/kernel/debug/taskmonitor"
#define FOLLOW FILE_NAME "_follow"
#define TASKS FILE_NAME "_tasks"
#define SECOND 1000000000L

static void __attribute__((noreturn, format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fprintf(stderr, "bench: ");
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

static void __attribute__((noreturn)) fail(const char *what)
{
	wrong("%s: %s", what, strerror(errno));
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "bench: see the top of tests/bench.c\n");
	exit(2);
}

static long number(const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (end == text || *end || value < 0)
		usage();
	return value;
}

static long clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		fail("clock_gettime");
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

static long now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* The time that we have run ourselves, and not threads of the kernel meanwhile. It costs more to ask for. */
static long own(void)
{
	return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static struct timespec timespec(long ns)
{
	return (struct timespec){ .tv_sec = ns / SECOND, .tv_nsec = ns % SECOND };
}

static void sleep_ns(long ns)
{
	struct timespec ts = timespec(ns);

	nanosleep(&ts, NULL);
}

static void *allocate(size_t bytes)
{
	void *memory = malloc(bytes ?: 1);

	if (!memory)
		fail("malloc");
	// What is touched for the first time while it is measured would be measured, too.
	memset(memory, 0, bytes);
	return memory;
}

static int open_file(const char *file, int flags)
{
	int fd = open(file, flags);

	if (fd < 0)
		fail(file);
	return fd;
}

/* All of a file, and a 0 behind it. */
static char *whole(const char *file, size_t *length)
{
	size_t room = 1 << 16;
	char *text = malloc(room);
	int fd = open_file(file, O_RDONLY);
	ssize_t got;

	for (*length = 0; text; *length += got) {
		if (room - *length < 4097) {
			text = realloc(text, room *= 2);
			if (!text)
				break;
		}
		got = read(fd, text + *length, room - *length - 1);
		if (got < 0)
			fail(file);
		if (!got) {
			text[*length] = 0;
			close(fd);
			return text;
		}
	}
	fail(file);
}

static void command(const char *text)
{
	int fd = open_file(FILE_NAME, O_WRONLY);

	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		fail(text);
	close(fd);
}

/* What stands behind a key, which has a blank on either side, in a line. */
static long value_of(const char *line, const char *key)
{
	const char *end = strchrnul(line, '\n'), *at = strstr(line, key);

	if (!at || at >= end)
		wrong("there is no%sin: %.*s", key, (int)(end - line), line);
	return atol(at + strlen(key));
}

/* The numbers of stdin. */
static long *numbers(long *count)
{
	long room = 1024, *list = malloc(room * sizeof(*list)), value;

	for (*count = 0; list && scanf("%ld", &value) == 1; list[(*count)++] = value)
		if (*count == room)
			list = realloc(list, (room *= 2) * sizeof(*list));
	if (!list)
		fail("realloc");
	return list;
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long median(long *list, long count)
{
	qsort(list, count, sizeof(*list), compare);
	return count ? list[count / 2] : 0;
}

/* --- loads --- */

static void *wait_for_good(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static void count_to(unsigned long most)
{
	for (volatile unsigned long count = 0; count < most; count++)
		;
}

static int ready[2];

static void __attribute__((noreturn)) be(long threads, int busy)
{
	pthread_attr_t small;
	pthread_t thread;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL))
		fail("prctl");
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	while (--threads > 0)
		if (pthread_create(&thread, &small, wait_for_good, NULL))
			fail("pthread_create");
	if (write(ready[1], "", 1) != 1)
		fail("write");
	if (busy)
		count_to(-1UL);
	wait_for_good(NULL);
	_exit(0);
}

static int spawn(long count, long threads, int busy)
{
	pid_t *pids = allocate(count * sizeof(*pids));
	sigset_t end;
	int sig;
	char byte;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	sigprocmask(SIG_BLOCK, &end, NULL);
	if (pipe(ready))
		fail("pipe");
	for (long i = 0; i < count; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (pids[i] < 0)
			fail("fork");
		if (!pids[i])
			be(threads, busy);
		printf("%d\n", pids[i]);
	}
	for (long i = 0; i < count; i++)
		if (read(ready[0], &byte, 1) != 1)
			fail("read");
	printf("\n");
	fclose(stdout);
	sigwait(&end, &sig);
	// Who comes next is to find them gone.
	for (long i = 0; i < count; i++)
		kill(pids[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}

static int time_counting(long most)
{
	long began = now();

	count_to(most);
	printf("%ld\n", now() - began);
	return 0;
}

static void __attribute__((noreturn)) read_for_good(const char *file)
{
	char *buffer = allocate(65536);

	for (;;) {
		int fd = open_file(file, O_RDONLY);

		while (read(fd, buffer, 65536) > 0)
			;
		close(fd);
	}
}

static void __attribute__((noreturn)) press(long mib)
{
	long page = sysconf(_SC_PAGESIZE);

	for (size_t size = mib << 20;;) {
		char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory == MAP_FAILED)
			fail("mmap");
		for (size_t at = 0; at < size; at += page)
			memory[at] = 1;
		munmap(memory, size);
	}
}

/* --- the sampling thread --- */

static pid_t find_sampler(void)
{
	char file[64], comm[64];
	long last;
	FILE *f = fopen("/proc/loadavg", "r");

	if (!f || fscanf(f, "%*s %*s %*s %*s %ld", &last) != 1)
		fail("/proc/loadavg");
	fclose(f);
	// The module was loaded last.
	for (pid_t pid = last; pid > 0; pid--) {
		snprintf(file, sizeof(file), "/proc/%d/comm", pid);
		f = fopen(file, "r");
		if (!f)
			continue;
		if (fscanf(f, "%63s", comm) == 1 && !strcmp(comm, "taskmonitor")) {
			fclose(f);
			return pid;
		}
		fclose(f);
	}
	errno = ESRCH;
	fail("the sampling thread");
}

static int open_of(pid_t pid, const char *name)
{
	char file[64];

	snprintf(file, sizeof(file), "/proc/%d/%s", pid, name);
	return open_file(file, O_RDONLY);
}

struct seen {
	long taken, missed, run_time;
};

/* Looks at the thread and the first task, while the former sleeps. */
static struct seen look(int stat, int schedstat)
{
	char buffer[4096], *state;
	struct seen seen;
	ssize_t got;
	int tasks;

	for (;; sleep_ns(100000)) {
		got = pread(stat, buffer, sizeof(buffer) - 1, 0);
		if (got <= 0)
			fail("stat");
		buffer[got] = 0;
		state = strrchr(buffer, ')');
		if (!state || (state[2] != 'I' && state[2] != 'D' && state[2] != 'S'))
			continue;
		got = pread(schedstat, buffer, sizeof(buffer) - 1, 0);
		if (got <= 0)
			fail("schedstat");
		buffer[got] = 0;
		seen.run_time = atol(buffer);
		tasks = open_file(TASKS, O_RDONLY);
		got = read(tasks, buffer, sizeof(buffer) - 1);
		close(tasks);
		if (got <= 0)
			wrong("no task is monitored");
		buffer[got] = 0;
		seen.taken = value_of(buffer, " taken ");
		seen.missed = value_of(buffer, " missed ");
		got = pread(schedstat, buffer, sizeof(buffer) - 1, 0);
		if (got > 0 && atol(buffer) == seen.run_time)
			return seen;
	}
}

/* What was taken of each task in between, by `before` and `after`, which are what TASKS had: fails if that is not
 * the same of all. */
static long taken_of_each(const char *before, const char *after, long *missed)
{
	long taken = -1;

	for (*missed = 0; *before && *after; before = strchrnul(before, '\n') + 1, after = strchrnul(after, '\n') + 1) {
		long of_this = value_of(after, " taken ") - value_of(before, " taken ");

		if (atol(before + 4) != atol(after + 4) || value_of(before, " start ") != value_of(after, " start "))
			wrong("while it was measured, a task went");
		if (taken >= 0 && taken != of_this)
			wrong("of one task, %ld samples were taken, and %ld of another", taken, of_this);
		taken = of_this;
		*missed += value_of(after, " missed ") - value_of(before, " missed ");
	}
	if (*before || *after)
		wrong("while it was measured, a task came or went");
	return taken;
}

static int rounds(long count, long period_us)
{
	pid_t sampler = find_sampler();
	int stat = open_of(sampler, "stat"), schedstat = open_of(sampler, "schedstat");
	size_t length;
	char *before, *after;
	struct seen first, last;
	long limit, missed, taken;

	// At rest, what is known of the tasks is that of one instant.
	command("stop\n");
	before = whole(TASKS, &length);
	command("start\n");
	limit = now() + SECOND + 4 * count * period_us * 1000;
	// The grid begins with an instant; the one behind that comes a period later.
	last = look(stat, schedstat);
	do {
		sleep_ns(period_us * 1000);
		first = look(stat, schedstat);
	} while (first.taken == last.taken && now() < limit);
	last = first;
	while (last.taken - first.taken < count) {
		if (now() > limit)
			wrong("in the time of %ld rounds, there were %ld", 4 * count, last.taken - first.taken);
		sleep_ns(10000000);
		last = look(stat, schedstat);
	}
	command("stop\n");
	after = whole(TASKS, &length);
	taken = taken_of_each(before, after, &missed);
	if (taken < last.taken - first.taken)
		wrong("of each task, %ld samples were taken in %ld rounds", taken, last.taken - first.taken);
	command("start\n");
	printf("%ld %ld %ld\n", last.taken - first.taken, last.run_time - first.run_time, missed);
	return 0;
}

static int await(const char *field, long wanted)
{
	int fd = open_file(TASKS, O_RDONLY);
	char buffer[4096], key[32];
	long limit = 0, value, last = -1;

	snprintf(key, sizeof(key), " %s ", field);
	for (;; sleep_ns(20000000)) {
		ssize_t got = pread(fd, buffer, sizeof(buffer) - 1, 0);

		if (got <= 0)
			wrong("no task is monitored");
		buffer[got] = 0;
		value = value_of(buffer, key);
		if (value >= wanted)
			return 0;
		if (value != last) {
			last = value;
			limit = now() + 5 * SECOND;
		}
		if (now() > limit)
			wrong("%s does not get to %ld: it stays %ld", field, wanted, value);
	}
}

static long switches(int status)
{
	char buffer[8192], *at;
	ssize_t got = pread(status, buffer, sizeof(buffer) - 1, 0);

	if (got <= 0)
		fail("status");
	buffer[got] = 0;
	at = strstr(buffer, "\nvoluntary_ctxt_switches:");
	if (!at)
		wrong("/proc/PID/status has no voluntary_ctxt_switches");
	return atol(at + strlen("\nvoluntary_ctxt_switches:"));
}

static int wakeups(long seconds)
{
	int status = open_of(find_sampler(), "status");
	long before = switches(status);

	sleep_ns(seconds * SECOND);
	printf("%ld\n", switches(status) - before);
	return 0;
}

/* --- do the samples say what /proc says? --- */

struct proc {
	long ns, minflt, rss, threads;
};

static struct proc proc_of(int stat)
{
	char buffer[4096], *at;
	ssize_t got = pread(stat, buffer, sizeof(buffer) - 1, 0);
	long utime, stime;
	struct proc proc;

	if (got <= 0)
		fail("stat");
	buffer[got] = 0;
	at = strrchr(buffer, ')');
	if (!at || sscanf(at + 2, "%*s %*s %*s %*s %*s %*s %*s %ld %*s %*s %*s %ld %ld %*s %*s %*s %*s %ld %*s %*s %*s %ld",
			  &proc.minflt, &utime, &stime, &proc.threads, &proc.rss) != 5)
		wrong("this is no /proc/PID/stat: %s", buffer);
	proc.ns = (utime + stime) * (SECOND / sysconf(_SC_CLK_TCK));
	proc.rss *= sysconf(_SC_PAGESIZE);
	return proc;
}

static void agrees(pid_t pid)
{
	// A tick of /proc's in either mode, and one of the scheduler's.
	const long lag = 2 * SECOND / sysconf(_SC_CLK_TCK) + 4000000;
	int stat = open_of(pid, "stat");
	struct proc before = proc_of(stat), after;
	long began = clock_ns(CLOCK_BOOTTIME), limit = began + 5 * SECOND, ns;
	char key[32], *tasks = NULL, *line;
	size_t length;

	snprintf(key, sizeof(key), "pid %d ", pid);
	do {
		if (clock_ns(CLOCK_BOOTTIME) > limit)
			wrong("task %d: there is no new sample", pid);
		sleep_ns(1000000);
		free(tasks);
		tasks = whole(TASKS, &length);
		for (line = tasks; *line && strncmp(line, key, strlen(key)); line = strchrnul(line, '\n') + 1)
			;
		if (!*line)
			wrong("task %d is not monitored", pid);
	} while (value_of(line, " time ") < began);
	after = proc_of(stat);
	ns = value_of(line, " usr ") + value_of(line, " sys ");
	if (ns + lag < before.ns || ns > after.ns + lag)
		wrong("task %d has run for %ld ns; /proc says from %ld to %ld", pid, ns, before.ns, after.ns);
	if (value_of(line, " rss ") != before.rss && value_of(line, " rss ") != after.rss)
		wrong("task %d has rss %ld; /proc says %ld", pid, value_of(line, " rss "), before.rss);
	if (value_of(line, " threads ") != before.threads)
		wrong("task %d has %ld threads; /proc says %ld", pid, value_of(line, " threads "), before.threads);
	free(tasks);
	close(stat);
}

static int agree(void)
{
	long count, *pids = numbers(&count);

	if (!count)
		usage();
	for (long i = 0; i < count && i < 4; i++)
		agrees(pids[i]);
	agrees(pids[count - 1]);
	return 0;
}

/* --- locks --- */

static int pass(long times)
{
	int fds[2];
	char byte = 0;
	long began;

	if (pipe(fds))
		fail("pipe");
	began = now();
	for (; times; times--)
		if (write(fds[1], &byte, 1) != 1 || read(fds[0], &byte, 1) != 1)
			fail("pipe");
	printf("%ld\n", now() - began);
	return 0;
}

struct hold {
	long began, events, depth, spoilt, most;
};

static void seen_lock(struct hold *hold, long when, int ours)
{
	if (hold->depth) {
		hold->events++;
		hold->depth++;
	} else if (ours) {
		*hold = (struct hold){ .began = when, .events = 1, .depth = 1, .most = hold->most };
	}
}

/* Whether that was the end of a hold. */
static int seen_unlock(struct hold *hold, long when, long cost)
{
	if (!hold->depth)
		return 0;
	if (--hold->depth) {
		hold->events++;
		return 0;
	}
	when -= hold->began + hold->events * cost;
	if (!hold->spoilt && when > hold->most)
		hold->most = when;
	return 1;
}

static int holds(long cost)
{
	struct hold spin = {}, mutex = {};
	long count = 0, spoilt = 0, owner = 0;
	char line[1024];

	while (fgets(line, sizeof(line), stdin)) {
		char *cpu = strstr(line, " [000] "), *dash = cpu, *at, *caller = strstr(line, " <-");
		// The wrappers that Rust has for inline functions may, or may not, end in a jump.
		int ours = caller && (strstr(caller, "taskmonitor") || strstr(caller, "rust_helper_"));
		long when, pid;

		if (!cpu)
			continue;
		while (dash > line && *dash != '-')
			dash--;
		pid = atol(dash + 1);
		at = strpbrk(cpu + 7, " ");
		when = at ? atol(at) : 0;
		if (strstr(line, ": local_timer_entry")) {
			spin.spoilt = 1;
			mutex.spoilt = 1;
		} else if (strstr(line, ": _raw_spin_lock <")) {
			seen_lock(&spin, when, ours);
			mutex.events += mutex.depth && pid == owner;
		} else if (strstr(line, ": _raw_spin_trylock <")) {
			// With one processor, and no preemption in a hold, it gets the lock.
			seen_lock(&spin, when, 0);
			mutex.events += mutex.depth && pid == owner;
		} else if (strstr(line, ": _raw_spin_unlock <")) {
			int ended = seen_unlock(&spin, when, cost);

			count += ended;
			spoilt += ended && spin.spoilt;
			mutex.events += mutex.depth && pid == owner;
		} else if (strstr(line, ": mutex_lock <")) {
			if (!mutex.depth)
				owner = pid;
			if (pid == owner)
				seen_lock(&mutex, when, ours);
		} else if (strstr(line, ": mutex_unlock <") && pid == owner) {
			seen_unlock(&mutex, when, cost);
		}
	}
	if (!count)
		wrong("the module had no spinlock");
	printf("%ld %ld %ld %ld\n", spin.most, mutex.most, count, spoilt);
	return 0;
}

/* --- files --- */

static int toggle(void)
{
	long count, *pids = numbers(&count);
	long *add = allocate(count * sizeof(*add)), *remove = allocate(count * sizeof(*remove));
	int fd = open_file(FILE_NAME, O_WRONLY);
	char text[32];

	for (long i = 0; i < count; i++) {
		int length = snprintf(text, sizeof(text), "%ld\n", pids[i]);

		add[i] = now();
		if (write(fd, text, length) != length)
			fail(text);
		add[i] = now() - add[i];
		length = snprintf(text, sizeof(text), "-%ld\n", pids[i]);
		remove[i] = now();
		if (write(fd, text, length) != length)
			fail(text);
		remove[i] = now() - remove[i];
	}
	printf("%ld %ld\n", median(add, count), median(remove, count));
	return 0;
}

/* Reads on to the end, and adds up what that is and takes; less what others ran for meanwhile. */
static void read_on(int fd, char *buffer, size_t size, long *bytes, long *lines, long *took)
{
	long others = now() - own();
	ssize_t got;

	do {
		long began = now();

		got = read(fd, buffer, size);
		*took += now() - began;
		if (got < 0)
			fail("read");
		*bytes += got;
		for (char *at = buffer; (at = memchr(at, '\n', buffer + got - at)); at++)
			++*lines;
	} while (got);
	// We never wait.
	*took -= now() - own() - others;
}

static int read_whole(const char *file, size_t size)
{
	char *buffer = allocate(size);
	long bytes = 0, lines = 0, took = 0;

	read_on(open_file(file, O_RDONLY), buffer, size, &bytes, &lines, &took);
	printf("%ld %ld %ld\n", bytes, lines, took);
	return 0;
}

static int news(size_t size)
{
	long count, *pids = numbers(&count), bytes = 0, lines = 0, took = 0;
	char *buffer = allocate(size), text[32];
	int fd = open_file(FOLLOW, O_RDONLY), commands = open_file(FILE_NAME, O_WRONLY);

	read_on(fd, buffer, size, &bytes, &lines, &took);
	for (long i = 0; i < count; i++) {
		int length = snprintf(text, sizeof(text), "%ld\n", pids[i]);

		if (write(commands, text, length) != length)
			fail(text);
	}
	bytes = lines = took = 0;
	read_on(fd, buffer, size, &bytes, &lines, &took);
	if (lines != count)
		wrong("%ld tasks are new, and %ld lines", count, lines);
	printf("%ld %ld %ld\n", bytes, lines, took);
	return 0;
}

static int write_whole(const char *file)
{
	size_t size = 1 << 20, length = 0;
	char *buffer = allocate(size);
	ssize_t got;
	long began, took;
	int fd;

	while ((got = read(0, buffer + length, size - length)) > 0)
		length += got;
	fd = open_file(file, O_WRONLY);
	began = own();
	got = write(fd, buffer, length);
	took = own() - began;
	if (got != (ssize_t)length)
		fail(file);
	printf("%zd %ld\n", got, took);
	return 0;
}

static int follow(long seconds)
{
	char *buffer = allocate(65536);
	int fd = open_file(FOLLOW, O_RDONLY);
	long end = now() + seconds * SECOND;
	ssize_t got;

	if (lseek(fd, 0, SEEK_END) < 0)
		fail(FOLLOW);
	while (now() < end) {
		sleep_ns(5000000);
		while ((got = read(fd, buffer, 65536)) > 0)
			if (write(1, buffer, got) != got)
				fail("write");
		if (got < 0)
			fail(FOLLOW);
	}
	return 0;
}

/* --- others that look at tasks --- */

static int poll_proc(const char *name, long times, int keep)
{
	long count, reads = 0, began, took = 0;
	long *pids = numbers(&count);
	int *fds = allocate(count * sizeof(*fds));
	char (*files)[64] = allocate(count * sizeof(*files));
	char *buffer = allocate(4096);
	struct rlimit limit = { count + 64, count + 64 };

	if (setrlimit(RLIMIT_NOFILE, &limit))
		fail("setrlimit");
	for (long i = 0; i < count; i++) {
		snprintf(files[i], sizeof(*files), "/proc/%ld/%s", pids[i], name);
		fds[i] = open_file(files[i], O_RDONLY);
		if (!keep)
			close(fds[i]);
	}
	// The first pass warms up.
	for (long pass = 0; pass <= times; pass++) {
		began = own();
		for (long i = 0; i < count; i++) {
			int fd = keep ? fds[i] : open(files[i], O_RDONLY);

			if (pread(fd, buffer, 4096, 0) <= 0)
				fail(files[i]);
			if (!keep)
				close(fd);
		}
		if (pass) {
			took += own() - began;
			reads += count;
		}
	}
	printf("%ld %ld\n", reads, took);
	return 0;
}

static int cost(const char *file, char **command)
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		fail("fork");
	if (!pid) {
		int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

		if (fd < 0 || dup2(fd, 1) < 0)
			fail(file);
		execv(command[0], command);
		fail(command[0]);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		fail("wait4");
	if (status)
		wrong("%s ended with status %x", command[0], status);
	printf("%ld\n", (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * SECOND +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000);
	return 0;
}

/*
 * A BPF program that puts into a seq_file, of each process, what is next to what a sample has: its PID, the
 * CPU times and faults of its leader, resident pages. It does without the totals of threads, without text, and
 * without memory of what was before. bpftrace and bpftool could make no shorter one, and bring an LLVM, or
 * want a clang; what it takes to load it by hand is where the fields are, which the kernel's BTF says.
 */

static struct btf_header *btf;

static const char *btf_name(const struct btf_type *type)
{
	return (char *)btf + btf->hdr_len + btf->str_off + type->name_off;
}

/* The type with this number, or the first of this kind and name; sets *id to its number. */
static struct btf_type *btf_find(uint32_t *id, uint32_t kind, const char *name)
{
	char *at = (char *)btf + btf->hdr_len + btf->type_off, *end = at + btf->type_len;

	for (uint32_t i = 1; at < end; i++) {
		struct btf_type *type = (struct btf_type *)at;
		uint32_t this = BTF_INFO_KIND(type->info), members = BTF_INFO_VLEN(type->info);

		if (name ? this == kind && !strcmp(btf_name(type), name) : i == *id) {
			*id = i;
			return type;
		}
		at += sizeof(*type);
		switch (this) {
		case BTF_KIND_INT:
		case BTF_KIND_VAR:
		case BTF_KIND_DECL_TAG:
			at += 4;
			break;
		case BTF_KIND_ARRAY:
			at += sizeof(struct btf_array);
			break;
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
			at += members * sizeof(struct btf_member);
			break;
		case BTF_KIND_ENUM:
			at += members * sizeof(struct btf_enum);
			break;
		case BTF_KIND_ENUM64:
			at += members * sizeof(struct btf_enum64);
			break;
		case BTF_KIND_FUNC_PROTO:
			at += members * sizeof(struct btf_param);
			break;
		case BTF_KIND_DATASEC:
			at += members * sizeof(struct btf_var_secinfo);
			break;
		}
	}
	wrong("the kernel's BTF does not know %s", name);
}

/* Where the member is in the structure, also in nameless ones inside, or -1. */
static long btf_offset_in(struct btf_type *type, const char *member)
{
	struct btf_member *members = (struct btf_member *)(type + 1);

	for (uint32_t i = 0; i < BTF_INFO_VLEN(type->info); i++) {
		uint32_t bits = BTF_INFO_KFLAG(type->info) ? BTF_MEMBER_BIT_OFFSET(members[i].offset) : members[i].offset;
		uint32_t id = members[i].type;
		struct btf_type named = { .name_off = members[i].name_off };
		struct btf_type *inner;
		long offset;

		if (!strcmp(btf_name(&named), member))
			return bits / 8;
		if (*btf_name(&named))
			continue;
		inner = btf_find(&id, 0, NULL);
		if (BTF_INFO_KIND(inner->info) != BTF_KIND_STRUCT && BTF_INFO_KIND(inner->info) != BTF_KIND_UNION)
			continue;
		offset = btf_offset_in(inner, member);
		if (offset >= 0)
			return bits / 8 + offset;
	}
	return -1;
}

static long btf_offset(const char *structure, const char *member)
{
	uint32_t id;
	long offset = btf_offset_in(btf_find(&id, BTF_KIND_STRUCT, structure), member);

	if (offset < 0)
		wrong("the kernel's BTF does not know %s of %s", member, structure);
	return offset;
}

static int bpf(int what, union bpf_attr *attr)
{
	int got = syscall(SYS_bpf, what, attr, sizeof(*attr));

	if (got < 0)
		fail("bpf");
	return got;
}

#define LOAD(size, to, from, where) \
	{ .code = BPF_LDX | BPF_MEM | (size), .dst_reg = (to), .src_reg = (from), .off = (where) }
#define STORE(from, where) \
	{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .src_reg = (from), .off = (where) }
#define MOVE(to, from) { .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = (to), .src_reg = (from) }
#define SET(to, value) { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = (to), .imm = (value) }
#define ADD(to, from) { .code = BPF_ALU64 | BPF_ADD | BPF_X, .dst_reg = (to), .src_reg = (from) }
#define COPY(size, where, to) LOAD(size, BPF_REG_1, BPF_REG_7, where), STORE(BPF_REG_1, to)

struct record {
	uint64_t pid, run, utime, stime, minflt, majflt, rss;
};

static int iterator(long times)
{
	size_t length;
	char *text = whole("/sys/kernel/btf/vmlinux", &length);
	union bpf_attr attr = {};
	uint32_t target;
	int program, link;
	long count, *pids = numbers(&count), found = 0, records = 0, began, took = 0;
	char *buffer = allocate(65536);
	ssize_t got;

	btf = (struct btf_header *)text;
	btf_find(&target, BTF_KIND_FUNC, "bpf_iter_task");
	{
		long pid = btf_offset("task_struct", "pid"), tgid = btf_offset("task_struct", "tgid");
		long run = btf_offset("task_struct", "se") + btf_offset("sched_entity", "sum_exec_runtime");
		long utime = btf_offset("task_struct", "utime"), stime = btf_offset("task_struct", "stime");
		long minflt = btf_offset("task_struct", "min_flt"), majflt = btf_offset("task_struct", "maj_flt");
		long mm = btf_offset("task_struct", "mm"), rss = btf_offset("mm_struct", "rss_stat");
		long counted = btf_offset("percpu_counter", "count"), first, skip;
		uint32_t id, counter = btf_find(&id, BTF_KIND_STRUCT, "percpu_counter")->size;
		struct bpf_insn code[] = {
			MOVE(BPF_REG_6, BPF_REG_1),
			LOAD(BPF_DW, BPF_REG_7, BPF_REG_6, 8),
			// Behind the last one there is none.
			{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_7 },
			LOAD(BPF_W, BPF_REG_1, BPF_REG_7, pid),
			LOAD(BPF_W, BPF_REG_2, BPF_REG_7, tgid),
			{ .code = BPF_JMP | BPF_JNE | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_2 },
			STORE(BPF_REG_1, -56 + (int)offsetof(struct record, pid)),
			COPY(BPF_DW, run, -56 + (int)offsetof(struct record, run)),
			COPY(BPF_DW, utime, -56 + (int)offsetof(struct record, utime)),
			COPY(BPF_DW, stime, -56 + (int)offsetof(struct record, stime)),
			COPY(BPF_DW, minflt, -56 + (int)offsetof(struct record, minflt)),
			COPY(BPF_DW, majflt, -56 + (int)offsetof(struct record, majflt)),
			LOAD(BPF_DW, BPF_REG_8, BPF_REG_7, mm),
			// MM_FILEPAGES, MM_ANONPAGES, MM_SHMEMPAGES.
			LOAD(BPF_DW, BPF_REG_1, BPF_REG_8, rss + counted),
			LOAD(BPF_DW, BPF_REG_2, BPF_REG_8, rss + counter + counted),
			ADD(BPF_REG_1, BPF_REG_2),
			LOAD(BPF_DW, BPF_REG_2, BPF_REG_8, rss + 3 * counter + counted),
			ADD(BPF_REG_1, BPF_REG_2),
			STORE(BPF_REG_1, -56 + (int)offsetof(struct record, rss)),
			LOAD(BPF_DW, BPF_REG_1, BPF_REG_6, 0),
			LOAD(BPF_DW, BPF_REG_1, BPF_REG_1, 0),
			MOVE(BPF_REG_2, BPF_REG_10),
			{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -56 },
			SET(BPF_REG_3, sizeof(struct record)),
			{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_seq_write },
			SET(BPF_REG_0, 0),
			{ .code = BPF_JMP | BPF_EXIT },
		};
		static char log[65536];

		// Both jumps go to the last two instructions.
		first = 2, skip = 5;
		code[first].off = sizeof(code) / sizeof(*code) - 2 - first - 1;
		code[skip].off = sizeof(code) / sizeof(*code) - 2 - skip - 1;
		attr.prog_type = BPF_PROG_TYPE_TRACING;
		attr.expected_attach_type = BPF_TRACE_ITER;
		attr.attach_btf_id = target;
		attr.license = (uintptr_t)"GPL";
		attr.insns = (uintptr_t)code;
		attr.insn_cnt = sizeof(code) / sizeof(*code);
		attr.log_buf = (uintptr_t)log;
		attr.log_size = sizeof(log);
		attr.log_level = 1;
		program = syscall(SYS_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
		if (program < 0)
			wrong("bpf: %s: %s", strerror(errno), log);
	}
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = program;
	attr.link_create.attach_type = BPF_TRACE_ITER;
	link = bpf(BPF_LINK_CREATE, &attr);
	// The first pass warms up, and proves that it sees the tasks.
	for (long pass = 0; pass <= times; pass++) {
		int fd;

		memset(&attr, 0, sizeof(attr));
		began = own();
		attr.iter_create.link_fd = link;
		fd = bpf(BPF_ITER_CREATE, &attr);
		while ((got = read(fd, buffer, 65536)) > 0) {
			records += pass ? got / (long)sizeof(struct record) : 0;
			for (struct record *r = (struct record *)buffer; !pass && (char *)r < buffer + got; r++)
				for (long i = 0; i < count; i++)
					found += (long)r->pid == pids[i] && r->rss;
		}
		if (got < 0)
			fail("iterator");
		close(fd);
		if (pass)
			took += own() - began;
	}
	if (found != count)
		wrong("the iterator has seen %ld of %ld tasks", found, count);
	printf("%ld %ld\n", records, took);
	return 0;
}

/* --- punctuality --- */

/* The time of each look, and the instant it counts for, in their order. */
static void print_lateness(long *times, const long *instants, long count, long period)
{
	long start = INT64_MAX;

	if (count < 2)
		wrong("there were no two looks");
	for (long i = 0; i < count; i++)
		if (times[i] - instants[i] * period < start)
			start = times[i] - instants[i] * period;
	for (long i = 1; i < count; i++)
		times[i] -= start + (instants[i - 1] + 1) * period;
	qsort(times + 1, count - 1, sizeof(*times), compare);
	printf("%ld %ld %ld %ld %ld %ld\n", count, instants[count - 1] - instants[0] + 1 - count, times[count / 2],
	       times[count * 9 / 10], times[count * 99 / 100], times[count - 1]);
}

static int lateness(long period)
{
	long count = 0, room = 1024, *times = malloc(room * sizeof(long)), *instants = malloc(room * sizeof(long));
	char line[1024];

	while (times && instants && fgets(line, sizeof(line), stdin)) {
		if (count == room) {
			times = realloc(times, (room *= 2) * sizeof(long));
			instants = realloc(instants, room * sizeof(long));
			if (!times || !instants)
				break;
		}
		times[count] = value_of(line, " time ");
		instants[count++] = value_of(line, " seq ");
	}
	if (!times || !instants)
		fail("realloc");
	print_lateness(times, instants, count, period);
	return 0;
}

static void wait_for(long instant)
{
	struct timespec ts = timespec(instant);

	errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
	if (errno)
		fail("clock_nanosleep");
}

static int sleeper(long times, long period)
{
	long start = now(), before = own();

	for (long next = 1; next <= times; next++)
		wait_for(start + next * period);
	printf("%ld %ld\n", times, own() - before);
	return 0;
}

static int user(long period, long seconds)
{
	long most = seconds * SECOND / period, count = 0, start;
	long *times = allocate(most * sizeof(*times)), *instants = allocate(most * sizeof(*instants));

	// 50 us else; a kernel thread that asks for an instant gets it.
	if (prctl(PR_SET_TIMERSLACK, 1))
		fail("prctl");
	start = now();
	for (long next = 1; next < most;) {
		wait_for(start + next * period);
		times[count] = now();
		instants[count] = (times[count] - start) / period;
		next = instants[count++] + 1;
	}
	print_lateness(times, instants, count, period);
	return 0;
}

static int poller(pid_t pid, long period, long seconds)
{
	char buffer[4096];
	int stat = open_of(pid, "stat");
	long start = now(), polls = 0, took;

	// It knows of no instants: those that it had no poll for are those that it missed.
	for (; (took = now() - start) < seconds * SECOND; polls++) {
		if (pread(stat, buffer, sizeof(buffer), 0) <= 0)
			fail("stat");
		sleep_ns(period);
	}
	printf("%ld %ld\n", polls, took / period > polls ? took / period - polls : 0);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "sleepers") && argc == 4)
		return spawn(number(argv[2]), number(argv[3]), 0);
	if (!strcmp(what, "busy") && argc == 3)
		return spawn(number(argv[2]), 1, 1);
	if (!strcmp(what, "count") && argc == 3)
		return time_counting(number(argv[2]));
	if (!strcmp(what, "reader") && argc == 3)
		read_for_good(argv[2]);
	if (!strcmp(what, "press") && argc == 3)
		press(number(argv[2]));
	if (!strcmp(what, "rounds") && argc == 4)
		return rounds(number(argv[2]), number(argv[3]));
	if (!strcmp(what, "sampler") && argc == 2)
		return printf("%d\n", find_sampler()) < 0;
	if (!strcmp(what, "pagesize") && argc == 2)
		return printf("%ld\n", sysconf(_SC_PAGESIZE)) < 0;
	if (!strcmp(what, "follow") && argc == 3)
		return follow(number(argv[2]));
	if (!strcmp(what, "await") && argc == 4)
		return await(argv[2], number(argv[3]));
	if (!strcmp(what, "pipe") && argc == 3)
		return pass(number(argv[2]));
	if (!strcmp(what, "holds") && argc == 3)
		return holds(number(argv[2]));
	if (!strcmp(what, "wakeups") && argc == 3)
		return wakeups(number(argv[2]));
	if (!strcmp(what, "agree") && argc == 2)
		return agree();
	if (!strcmp(what, "toggle") && argc == 2)
		return toggle();
	if (!strcmp(what, "news") && argc == 3)
		return news(number(argv[2]));
	if (!strcmp(what, "lateness") && argc == 3)
		return lateness(number(argv[2]) * 1000);
	if (!strcmp(what, "read") && argc == 4)
		return read_whole(argv[2], number(argv[3]));
	if (!strcmp(what, "write") && argc == 3)
		return write_whole(argv[2]);
	if (!strcmp(what, "pread") && argc == 4)
		return poll_proc(argv[2], number(argv[3]), 1);
	if (!strcmp(what, "open") && argc == 4)
		return poll_proc(argv[2], number(argv[3]), 0);
	if (!strcmp(what, "iterator") && argc == 3)
		return iterator(number(argv[2]));
	if (!strcmp(what, "cost") && argc > 3)
		return cost(argv[2], argv + 3);
	if (!strcmp(what, "sleeper") && argc == 4)
		return sleeper(number(argv[2]), number(argv[3]) * 1000);
	if (!strcmp(what, "user") && argc == 4)
		return user(number(argv[2]) * 1000, number(argv[3]));
	if (!strcmp(what, "poller") && argc == 5)
		return poller(number(argv[2]), number(argv[3]) * 1000, number(argv[4]));
	usage();
}
