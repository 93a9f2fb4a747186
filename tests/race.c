// SPDX-License-Identifier: GPL-2.0-only
/*
 * Actors that do things to taskmonitor all at once, each again and again, until every one of them has
 * had so many hits. Built statically by scripts/build.sh, run in the guest.
 *
 *   race LIMIT ACTOR:HITS[:ARGUMENT]...
 *
 * A hit is something that was seen to happen, not an attempt. Prints how many each had, and exits with
 * 0; with 1 if an actor saw what must not be (it says what), or if hits are lacking after LIMIT seconds.
 *
 * Actors on the monitored tasks, from a world of sleeping, busy and short-lived ones:
 *   add:N:US           a task is added, or removed; after a wait of at most so long (0)
 *   print              it is chosen, or all
 *   clear:N:US, startstop   that was done; after a wait of at most so long (5000)
 *   parameters         a writable parameter has a random value of its range
 *   reclaim            the shrinker has given samples back
 * Readers, which check the form and the order of all they read:
 *   read:N:FILE        a file (history, tasks, sysfs) was read to its end, in pieces of random size
 *   follow             a read of the follow file had lines; goes on behind polls and seeks
 *   underfoot:N:US     a reader has removed the very task on which it stands, and gone on to the end; after
 *                      a wait of at most so long (0)
 * Tasks that are added at any moment of their lives:
 *   exit               one exits
 *   zombie             one is a zombie when it is added
 *   exec               one replaces itself
 *   exec-nonleader     another thread than the leader does so
 *   leader-exit        the leader is gone, a thread lives on, and ends
 *   clones             one has thirty children, which exit at once
 *   tids               threads are added one by one, and exit
 *   reuse              a PID is given to another task, and that is added
 *   threads:N:COUNT    a thread of a process that has so many comes and goes
 * And:
 *   stream             a long stream of commands was written
 *   suspend:N:LEVEL    the system was suspended up to that level of pm_test, and came back
 *   module:N:FILE PARAMETERS   the module was unloaded. (Others do not mind that it is gone, then.)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HISTORY "/sys/kernel/debug/taskmonitor"
#define FOLLOW HISTORY "_follow"
#define TASKS HISTORY "_tasks"
#define STATS HISTORY "_stats"
#define SYSFS "/sys/kernel/taskmonitor"
#define PARAMETERS "/sys/module/taskmonitor/parameters/"

#define ACTORS 24
#define WORLD 40

/* What all actors share. */
static struct {
	atomic_bool over;
	/* Somebody has tried in vain for long to unload the module. */
	atomic_bool held;
	atomic_long hits[ACTORS];
	/* The tasks that may be added: the last ones are of the short-lived. */
	atomic_int world[WORLD];
} *shared;

#define LASTING 24

static int actor;
static const char *actor_name = "race", *argument = "";
static bool module_goes;

static void __attribute__((noreturn, format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list arguments;
	int error = errno;

	va_start(arguments, format);
	printf("%s: ", actor_name);
	vprintf(format, arguments);
	printf(" (errno %s)\n", strerrorname_np(error));
	fflush(stdout);
	_exit(1);
}

static void hit(void)
{
	atomic_fetch_add(&shared->hits[actor], 1);
}

static bool over(void)
{
	return atomic_load(&shared->over);
}

/* --- chance ------------------------------------------------------------------------------------- */

static unsigned long seed;

static unsigned long below(unsigned long n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 11) % n;
}

/* Mostly none. */
static void pause_a_little(void)
{
	if (below(4) == 0)
		usleep(below(500));
	else if (below(2) == 0)
		sched_yield();
}

/* As long as the actor's argument says, else US, at most. */
static void wait_at_most(long us)
{
	if (*argument)
		us = atol(argument);
	if (us > 0)
		usleep(below(us));
}

/* --- files --------------------------------------------------------------------------------------- */

/* Opens one of the module's files; -1 where that is not there, if the module comes and goes. */
static int open_file(const char *file, int flags)
{
	int fd;

	/* Most wait a moment then; some come in between all the same. */
	while (atomic_load(&shared->held) && !over() && below(8))
		usleep(1000);
	fd = open(file, flags | O_CLOEXEC);
	if (fd < 0 && !(module_goes && (errno == ENOENT || errno == EAGAIN || errno == ENODEV || errno == ENXIO)))
		wrong("cannot open %s", file);
	return fd;
}

/* Writes TEXT; returns 0, or the error, which must be one of ALLOWED (a list that ends with 0). */
static int put(const char *file, const char *text, const int *allowed)
{
	int fd = open_file(file, O_WRONLY);
	size_t length = strlen(text);
	ssize_t n;
	int error;

	if (fd < 0)
		return ENOENT;
	n = write(fd, text, length);
	error = n < 0 ? errno : 0;
	close(fd);
	if (n == (ssize_t)length || (module_goes && (error == ENODEV || error == EAGAIN)))
		return error;
	for (; n < 0 && *allowed; allowed++)
		if (*allowed == error)
			return error;
	errno = error;
	wrong("a write of \"%s\" to %s returned %zd", text, file, n);
}

static int command(const int *allowed, const char *format, ...)
{
	char text[64];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	return put(below(4) ? HISTORY : SYSFS, text, allowed);
}

static const int NONE[] = { 0 };
static const int ADDING[] = { ESRCH, EEXIST, ENOSPC, 0 };
static const int ADDING_WHAT_IS_THERE[] = { EEXIST, ENOSPC, 0 };
static const int CHOOSING[] = { ENOENT, 0 };

/* A line of a sample. */
struct sample {
	long pid;
	char state;
	unsigned long usr, sys, time, rss, minflt, majflt, mm_users, seq, start;
};

/* Takes KEY and a number off the line. */
static bool take(const char **line, const char *key, unsigned long *value)
{
	size_t length = strlen(key);
	char *end;

	if (strncmp(*line, key, length) || (*line)[length] < '0' || (*line)[length] > '9')
		return false;
	*value = strtoul(*line + length, &end, 10);
	*line = end;
	return true;
}

static struct sample parse(const char *text)
{
	struct sample s;
	const char *line = text;
	unsigned long pid;

	if (!take(&line, "pid ", &pid) || !take(&line, " usr ", &s.usr) ||
	    !take(&line, " sys ", &s.sys) || !take(&line, " time ", &s.time) ||
	    !take(&line, " rss ", &s.rss) || !take(&line, " minflt ", &s.minflt) ||
	    !take(&line, " majflt ", &s.majflt) || !take(&line, " mm_users ", &s.mm_users) ||
	    strncmp(line, " state ", 7))
		wrong("line \"%s\"", text);
	s.state = line[7];
	line += 8;
	if (!strchr("RSDTtZPIX", s.state) || !take(&line, " seq ", &s.seq) ||
	    !take(&line, " start ", &s.start) || *line)
		wrong("line \"%s\"", text);
	s.pid = pid;
	if (s.time < s.start)
		wrong("taken before the task began: \"%s\"", text);
	if (s.state == 'X' && (s.rss || s.mm_users))
		wrong("memory of one that has ended: \"%s\"", text);
	return s;
}

/* What a reading of a file has brought so far. */
struct reading {
	void (*check)(struct reading *reading, const char *line);
	long lines;
	struct sample last;
	/* The tasks whose samples came before. */
	unsigned long *seen;
	size_t seen_count;
	/* The beginning of a line. */
	char part[512];
	size_t part_length;
};

/* All samples of a task stand together, in order. */
static void check_history(struct reading *reading, const char *line)
{
	struct sample s = parse(line), *last = &reading->last;

	if (reading->lines && s.pid == last->pid && s.start == last->start) {
		if (s.seq <= last->seq || s.time <= last->time || s.usr < last->usr || s.sys < last->sys ||
		    s.minflt < last->minflt || s.majflt < last->majflt || last->state == 'X')
			wrong("behind seq %lu, time %lu, usr %lu, sys %lu, state %c: \"%s\"", last->seq,
			      last->time, last->usr, last->sys, last->state, line);
	} else {
		for (size_t i = 0; i < reading->seen_count; i++)
			if (reading->seen[2 * i] == (unsigned long)s.pid && reading->seen[2 * i + 1] == s.start)
				wrong("a task is not in one piece: \"%s\"", line);
		if (reading->seen_count % 1024 == 0)
			reading->seen = realloc(reading->seen, (reading->seen_count + 1024) * 2 * sizeof(long));
		if (!reading->seen)
			wrong("no memory");
		reading->seen[2 * reading->seen_count] = s.pid;
		reading->seen[2 * reading->seen_count++ + 1] = s.start;
	}
	*last = s;
}

/* All samples, the oldest first. */
static void check_merged(struct reading *reading, const char *line)
{
	struct sample s = parse(line);

	if (s.time <= reading->last.time)
		wrong("behind time %lu: \"%s\"", reading->last.time, line);
	reading->last = s;
}

static void check_tasks(struct reading *reading, const char *text)
{
	unsigned long pid, start, threads, samples, taken, evicted, reclaimed, missed, number;
	const char *line = text;
	char state;

	(void)reading;
	if (!take(&line, "pid ", &pid) || !take(&line, " start ", &start) || strncmp(line, " state ", 7))
		wrong("line \"%s\"", text);
	state = line[7];
	line += 8;
	if (!take(&line, " threads ", &threads) || !take(&line, " samples ", &samples) ||
	    !take(&line, " taken ", &taken) || !take(&line, " evicted ", &evicted) ||
	    !take(&line, " reclaimed ", &reclaimed) || !take(&line, " missed ", &missed) ||
	    !take(&line, " usr ", &number) || !take(&line, " sys ", &number) ||
	    !take(&line, " time ", &number) || !take(&line, " rss ", &number) ||
	    !take(&line, " mm_users ", &number) || !take(&line, " tgid ", &number) || strncmp(line, " comm ", 6))
		wrong("line \"%s\"", text);
	if (taken != samples + evicted + reclaimed || !taken)
		wrong("does not add up: \"%s\"", text);
	// A process that has been reaped, but has not left its CPU, is a zombie without threads.
	if (state == 'X' ? threads != 0 : threads == 0 && state != 'Z')
		wrong("threads of one that has ended: \"%s\"", text);
}

/* The counts add up at any time. (The line of "missed" is behind all of them.) */
static void check_stats(struct reading *reading, const char *text)
{
	const char *line = text;
	unsigned long number;

	if (take(&line, "samples ", &number) || take(&line, "evicted ", &number) ||
	    take(&line, "reclaimed ", &number) || take(&line, "removed ", &number))
		reading->last.usr += number;
	else if (take(&line, "taken ", &number))
		reading->last.sys = number;
	else if (take(&line, "missed ", &number) && reading->last.usr != reading->last.sys)
		wrong("%lu samples were taken, but %lu are accounted for", reading->last.sys, reading->last.usr);
}

static void begin(struct reading *reading, const char *file)
{
	memset(reading, 0, sizeof(*reading));
	reading->check = !strcmp(file, HISTORY) ? check_history : !strcmp(file, TASKS) ? check_tasks :
			 !strcmp(file, STATS) ? check_stats : check_merged;
}

static void digest(struct reading *reading, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (bytes[i] == '\n') {
			reading->part[reading->part_length] = 0;
			reading->check(reading, reading->part);
			reading->lines++;
			reading->part_length = 0;
			continue;
		}
		if (bytes[i] < 32 || bytes[i] > 126 || reading->part_length + 1 == sizeof(reading->part))
			wrong("byte %d behind \"%.*s\"", bytes[i], (int)reading->part_length, reading->part);
		reading->part[reading->part_length++] = bytes[i];
	}
}

static void finish(struct reading *reading)
{
	if (reading->part_length)
		wrong("ends with \"%.*s\"", (int)reading->part_length, reading->part);
	free(reading->seen);
	reading->seen = NULL;
}

static char buffer[1 << 16];

/* Reads a random piece; false at the end, or when the module is gone. */
static bool read_piece(int fd, struct reading *reading)
{
	static const unsigned int sizes[] = { 1, 7, 100, 1000, 4096, 4096, 4096, sizeof(buffer), sizeof(buffer) };
	ssize_t n = read(fd, buffer, 1 + below(sizes[below(sizeof(sizes) / sizeof(*sizes))]));

	if (n < 0 && !(module_goes && errno == ENODEV))
		wrong("a read failed");
	if (n <= 0)
		return false;
	digest(reading, buffer, n);
	return true;
}

/* --- actors on what is monitored ------------------------------------------------------------------- */

static int someone(void)
{
	return atomic_load(&shared->world[below(WORLD)]);
}

static void add_or_remove(void)
{
	int pid;

	wait_at_most(0);
	pid = someone();
	/* None, while its place is empty. */
	if (pid && !(below(2) ? command(ADDING, "%d\n", pid) : command(CHOOSING, "-%d\n", pid)))
		hit();
}

static void print(void)
{
	int pid = someone();

	if (below(3) == 0 ? !command(NONE, "print all\n") : pid && !command(CHOOSING, "print %d\n", pid))
		hit();
}

static void clear(void)
{
	wait_at_most(5000);
	if (!command(NONE, "clear\n"))
		hit();
}

static void startstop(void)
{
	if (!command(NONE, below(2) ? "start\n" : "stop\n"))
		hit();
	usleep(below(3000));
}

static void parameters(void)
{
	static const struct {
		const char *name;
		unsigned long least, most;
	} all[] = {
		{ "period_us", 100, 3000 },
		{ "max_samples", 1, 4000 },
		{ "max_mib", 1, 20 },
		{ "reserve", 1, 300 },
		{ "sampling", 0, 1 },
	};
	size_t i = below(sizeof(all) / sizeof(*all));
	char file[128], text[32];

	snprintf(file, sizeof(file), PARAMETERS "%s", all[i].name);
	snprintf(text, sizeof(text), "%lu\n", all[i].least + below(all[i].most - all[i].least + 1));
	if (!put(file, text, NONE))
		hit();
	usleep(below(2000));
}

struct given {
	unsigned long pid, start, samples;
};

/* What each task has given back up to now, of MOST tasks at most; returns of how many. */
static size_t reclaimed(struct given *given, size_t most)
{
	FILE *f = fopen(TASKS, "re");
	size_t count = 0;
	char line[512], *at;

	while (f && count < most && fgets(line, sizeof(line), f)) {
		at = strstr(line, " reclaimed ");
		if (at && sscanf(at, " reclaimed %lu", &given[count].samples) == 1 &&
		    sscanf(line, "pid %lu start %lu", &given[count].pid, &given[count].start) == 2)
			count++;
	}
	if (f)
		fclose(f);
	return count;
}

/* By the shrinker's own file where the kernel has that, else by asking for everything. */
static void reclaim(void)
{
	enum { MOST = 1000 };
	static struct given before[MOST], after[MOST];
	size_t had = reclaimed(before, MOST), has;
	bool more = false;
	glob_t found;

	if (!glob("/sys/kernel/debug/shrinker/taskmonitor-*/scan", 0, NULL, &found)) {
		char text[32];
		int fd = open(found.gl_pathv[0], O_WRONLY | O_CLOEXEC);

		snprintf(text, sizeof(text), "0 0 %lu\n", 1 + below(300));
		if (fd >= 0 && write(fd, text, strlen(text)) < 0 && !module_goes)
			wrong("a write to %s failed", found.gl_pathv[0]);
		close(fd);
		globfree(&found);
	} else {
		put("/proc/sys/vm/drop_caches", "2\n", NONE);
	}
	/* (Others may remove the tasks that gave: not every success is seen.) */
	has = reclaimed(after, MOST);
	for (size_t i = 0; i < had; i++)
		for (size_t j = 0; j < has; j++)
			more |= before[i].pid == after[j].pid && before[i].start == after[j].start &&
				before[i].samples < after[j].samples;
	if (more)
		hit();
	pause_a_little();
}

/* --- readers ---------------------------------------------------------------------------------------- */

static void read_file(void)
{
	struct reading reading;
	int fd = open_file(argument, O_RDONLY);

	if (fd < 0)
		return;
	begin(&reading, argument);
	/* The whole of a long history in single bytes would take an hour. */
	for (long pieces = 0; read_piece(fd, &reading); pieces++) {
		if (pieces == 300 || over()) {
			reading.part_length = 0;
			break;
		}
	}
	if (reading.lines)
		hit();
	if (!module_goes)
		finish(&reading);
	free(reading.seen);
	close(fd);
}

static void follow(void)
{
	struct reading reading;
	int fd = open_file(FOLLOW, O_RDONLY);

	if (fd < 0)
		return;
	begin(&reading, FOLLOW);
	for (int i = 0; i < 200 && !over() && !atomic_load(&shared->held); i++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		long lines = reading.lines;

		switch (below(8)) {
		case 0:
			if (poll(&p, 1, below(30)) < 0 || p.revents & ~POLLIN)
				wrong("poll: %x", p.revents);
			break;
		case 1:
			if (below(10) == 0) {
				if (lseek(fd, 0, SEEK_SET))
					wrong("a seek to the beginning failed");
				begin(&reading, FOLLOW);
				lines = 0;
			} else if (below(10) == 0) {
				/* What was read in part is skipped with the rest. */
				if (lseek(fd, 0, SEEK_END) < 0)
					wrong("a seek to the end failed");
				reading.part_length = 0;
			}
			break;
		default:
			read_piece(fd, &reading);
			if (reading.lines > lines)
				hit();
		}
	}
	close(fd);
}

static void underfoot(void)
{
	struct reading reading;
	bool gone = false;
	int fd;

	wait_at_most(0);
	fd = open_file(HISTORY, O_RDONLY);
	if (fd < 0)
		return;
	begin(&reading, HISTORY);
	for (int i = 0; i < 2000 && read_piece(fd, &reading); i++) {
		if (gone || !reading.lines || below(4))
			continue;
		gone = !command(CHOOSING, "-%ld\n", reading.last.pid);
		if (below(2))
			command(ADDING, "%ld\n", reading.last.pid);
	}
	if (gone)
		hit();
	free(reading.seen);
	close(fd);
}

/* --- lives ------------------------------------------------------------------------------------------- */

static int place;

/* Makes a short-lived task known to the other actors; 0 ends that. */
static void publish(int pid)
{
	atomic_store(&shared->world[LASTING + place], pid);
}

static pid_t child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		wrong("fork");
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	else
		publish(pid);
	return pid;
}

static void reap(pid_t pid)
{
	if (waitpid(pid, NULL, 0) != pid)
		wrong("wait for %d", pid);
	publish(0);
	hit();
}

static void spin(void)
{
	for (volatile unsigned long i = below(100000); i; i--)
		;
}

static void life_exit(void)
{
	pid_t pid = child();

	if (!pid) {
		spin();
		_exit(0);
	}
	pause_a_little();
	/* It is there at least as a zombie. */
	command(ADDING_WHAT_IS_THERE, "%d\n", pid);
	reap(pid);
}

static void life_zombie(void)
{
	siginfo_t info;
	pid_t pid = child();

	if (!pid)
		_exit(0);
	if (waitid(P_PID, pid, &info, WEXITED | WNOWAIT))
		wrong("waitid");
	command(ADDING_WHAT_IS_THERE, "%d\n", pid);
	pause_a_little();
	reap(pid);
}

static void life_exec(void)
{
	pid_t pid = child();

	if (!pid) {
		spin();
		execl("/proc/self/exe", "race", "rest", NULL);
		_exit(1);
	}
	command(ADDING_WHAT_IS_THERE, "%d\n", pid);
	usleep(below(5000));
	kill(pid, SIGKILL);
	reap(pid);
}

static void *replace(void *unused)
{
	(void)unused;
	spin();
	execl("/proc/self/exe", "race", "rest", NULL);
	_exit(1);
}

static void life_exec_nonleader(void)
{
	int channel[2], tid = 0;
	pid_t pid;

	if (pipe2(channel, O_CLOEXEC))
		wrong("pipe");
	pid = child();
	if (!pid) {
		pthread_t thread;

		/* The TID of the thread is the next, mostly. */
		tid = getpid() + 1;
		if (write(channel[1], &tid, sizeof(tid)) != sizeof(tid) ||
		    pthread_create(&thread, NULL, replace, NULL))
			_exit(1);
		for (;;)
			pause();
	}
	close(channel[1]);
	if (read(channel[0], &tid, sizeof(tid)) != sizeof(tid))
		wrong("the child has not said its TID");
	command(ADDING_WHAT_IS_THERE, "%d\n", pid);
	command(ADDING, "%d\n", tid);
	/* It closes with the exec. */
	if (read(channel[0], &tid, sizeof(tid)) != 0)
		wrong("the child has said more");
	close(channel[0]);
	pause_a_little();
	kill(pid, SIGKILL);
	reap(pid);
}

static void *outlive(void *unused)
{
	(void)unused;
	usleep(below(2000));
	return NULL;
}

static void life_leader_exit(void)
{
	pid_t pid = child();

	if (!pid) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, outlive, NULL))
			_exit(1);
		pthread_exit(NULL);
	}
	pause_a_little();
	command(ADDING_WHAT_IS_THERE, "%d\n", pid);
	reap(pid);
}

static void life_clones(void)
{
	pid_t pid = child();

	if (!pid) {
		for (int i = 0; i < 30; i++)
			if (!fork())
				_exit(0);
		_exit(0);
	}
	for (int i = 0; i < 30; i++)
		command(ADDING, "%d\n", pid + i);
	reap(pid);
}

static void *short_lived(void *unused)
{
	(void)unused;
	spin();
	return NULL;
}

static void life_tids(void)
{
	pid_t pid = child();

	if (!pid) {
		pthread_t threads[8];

		for (int i = 0; i < 8; i++)
			if (pthread_create(&threads[i], NULL, short_lived, NULL))
				_exit(1);
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
		_exit(0);
	}
	for (int i = 0; i < 10; i++)
		command(ADDING, "%d\n", pid + i);
	reap(pid);
}

/* When the process began, in ticks of 10 ms. */
static unsigned long start_of(pid_t pid)
{
	char file[32], line[1024], *at;
	unsigned long start;
	FILE *f;

	snprintf(file, sizeof(file), "/proc/%d/stat", pid);
	f = fopen(file, "re");
	if (!f || !fgets(line, sizeof(line), f))
		wrong("%s", file);
	fclose(f);
	/* Field 22, behind the name, which is field 2 and may hold anything. */
	at = strrchr(line, ')');
	if (!at || sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %lu",
			  &start) != 1)
		wrong("%s: \"%s\"", file, line);
	return start;
}

/* Whether this very process is monitored, not another one that had its PID. */
static bool is_monitored(pid_t pid)
{
	unsigned long start = start_of(pid), other_pid, other_start;
	FILE *f = fopen(TASKS, "re");
	bool found = false;
	char line[512];

	if (!f)
		wrong("cannot open %s", TASKS);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "pid %lu start %lu", &other_pid, &other_start) == 2)
			found |= other_pid == (unsigned long)pid && other_start / 10000000 == start;
	fclose(f);
	return found;
}

static void life_reuse(void)
{
	pid_t first = child(), second;
	int tries;
	struct clone_args again = {
		.exit_signal = SIGCHLD,
		.set_tid = (unsigned long)&first,
		.set_tid_size = 1,
	};

	if (!first)
		_exit(0);
	command(ADDING_WHAT_IS_THERE, "%d\n", first);
	if (waitpid(first, NULL, 0) != first)
		wrong("wait for %d", first);
	publish(0);
	second = syscall(SYS_clone3, &again, sizeof(again));
	if (second < 0) {
		/* Somebody else has it already. */
		if (errno != EEXIST)
			wrong("clone3");
		return;
	}
	if (!second) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	/*
	 * Whatever is known of the number's former owner: this is another task. Those who add all numbers
	 * in turn may have come first; and those who clear or remove may come before a look, but not
	 * before each of so many.
	 */
	for (tries = 100; command(ADDING_WHAT_IS_THERE, "%d\n", second) == EEXIST && !is_monitored(second);)
		if (!--tries)
			wrong("%d is said to be monitored, but is not", second);
	kill(second, SIGKILL);
	if (waitpid(second, NULL, 0) != second)
		wrong("wait for %d", second);
	hit();
}

static void *come_and_go(void *unused)
{
	(void)unused;
	usleep(1000 + below(20000));
	atomic_fetch_add(&shared->hits[actor], 1);
	return NULL;
}

/* Runs until all is over, in a process of its own that is part of the world. */
static void threads(void)
{
	long count = atol(argument);
	pthread_t *all = calloc(count, sizeof(*all));
	pthread_attr_t small;

	/* The least that this architecture allows; 16 KiB on amd64, 128 KiB on arm64. */
	if (!all || pthread_attr_init(&small) || pthread_attr_setstacksize(&small, 16384 + sysconf(_SC_THREAD_STACK_MIN)))
		wrong("threads");
	publish(getpid());
	for (long i = 0; !over(); i = (i + 1) % count) {
		if (all[i])
			pthread_join(all[i], NULL);
		if (pthread_create(&all[i], &small, come_and_go, NULL))
			wrong("pthread_create");
	}
	publish(0);
	for (long i = 0; i < count; i++)
		if (all[i])
			pthread_join(all[i], NULL);
	free(all);
}

/* --- the system, the module --------------------------------------------------------------------------- */

static void suspend(void)
{
	/* Tasks that are born meanwhile may keep it from freezing all. */
	static const int BUSY[] = { EBUSY, 0 };

	put("/sys/power/pm_test", argument, NONE);
	if (!put("/sys/power/state", "mem", BUSY))
		hit();
	/* The others are to get on, too. */
	usleep(below(2000000));
}

static void module(void)
{
	static bool loaded = true;
	char *file = strdupa(argument), *text = strchr(file, ' ');
	int fd;

	*text++ = 0;
	if (!loaded) {
		fd = open(file, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, text, 0))
			wrong("insmod %s %s", file, text);
		close(fd);
		loaded = true;
		usleep(below(20000));
	}
	for (int i = 0; !over(); i++) {
		atomic_store(&shared->held, i > 50);
		if (!syscall(SYS_delete_module, "taskmonitor", O_NONBLOCK)) {
			loaded = false;
			hit();
			break;
		}
		if (errno != EAGAIN)
			wrong("rmmod");
		usleep(below(300));
	}
	atomic_store(&shared->held, false);
}

/* Writers whose streams of commands are so long that they are in the midst of them most of the time. */
static void stream(void)
{
	char text[4096];
	size_t length = 0;
	int fd = open_file(below(2) ? HISTORY : SYSFS, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return;
	while (length < sizeof(text) - 32)
		length += sprintf(text + length, below(2) ? "print all\n" : "start\n");
	n = write(fd, text, length);
	if (n > 0)
		hit();
	else if (!(module_goes && errno == ENODEV))
		wrong("a write of many commands returned %zd", n);
	close(fd);
}

static const struct {
	const char *name;
	void (*act)(void);
} ACTS[] = {
	{ "add", add_or_remove },
	{ "print", print },
	{ "clear", clear },
	{ "startstop", startstop },
	{ "parameters", parameters },
	{ "reclaim", reclaim },
	{ "read", read_file },
	{ "follow", follow },
	{ "underfoot", underfoot },
	{ "exit", life_exit },
	{ "zombie", life_zombie },
	{ "exec", life_exec },
	{ "exec-nonleader", life_exec_nonleader },
	{ "leader-exit", life_leader_exit },
	{ "clones", life_clones },
	{ "tids", life_tids },
	{ "reuse", life_reuse },
	{ "threads", threads },
	{ "suspend", suspend },
	{ "module", module },
	{ "stream", stream },
};

/* --- the world ---------------------------------------------------------------------------------------- */

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* A task that lasts; N tells of which kind. */
static pid_t lasting(int n)
{
	int channel[2];
	pid_t pid, tid = 0;

	if (pipe(channel))
		wrong("pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		wrong("fork");
	if (pid) {
		if (read(channel[0], &tid, sizeof(tid)) != sizeof(tid))
			wrong("a task of the world has not begun");
		close(channel[0]);
		close(channel[1]);
		return tid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	tid = getpid();
	if (n % 4 == 1) {
		pthread_t thread;

		/* Not the process, but a thread of it. */
		if (pthread_create(&thread, NULL, sleep_on, NULL))
			_exit(1);
		tid = getpid() + 1;
	}
	if (write(channel[1], &tid, sizeof(tid)) != sizeof(tid))
		_exit(1);
	while (n == 2)
		spin();
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	struct {
		char *name;
		long goal;
		char *argument;
		pid_t pid;
	} actors[ACTORS] = { 0 };
	int count = 0, status, failed = 0;
	time_t end;

	setvbuf(stdout, NULL, _IOLBF, 0);
	while (argc == 2 && !strcmp(argv[1], "rest"))
		pause();
	if (argc < 3 || argc - 2 > ACTORS)
		goto usage;
	end = time(NULL) + atol(argv[1]);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		wrong("mmap");
	for (; count < argc - 2; count++) {
		char *text = argv[count + 2];

		actors[count].name = strsep(&text, ":");
		actors[count].goal = text ? atol(strsep(&text, ":")) : 0;
		actors[count].argument = text ? text : "";
		if (actors[count].goal < 1)
			goto usage;
		module_goes |= !strcmp(actors[count].name, "module");
	}
	for (int i = 0; i < LASTING; i++)
		atomic_store(&shared->world[i], i < 2 ? i + 1 : lasting(i));

	for (int i = 0; i < count; i++) {
		void (*act)(void) = NULL;

		for (size_t j = 0; j < sizeof(ACTS) / sizeof(*ACTS); j++)
			if (!strcmp(ACTS[j].name, actors[i].name))
				act = ACTS[j].act;
		if (!act)
			goto usage;
		fflush(stdout);
		actors[i].pid = fork();
		if (actors[i].pid < 0)
			wrong("fork");
		if (actors[i].pid)
			continue;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		actor = i;
		actor_name = actors[i].name;
		argument = actors[i].argument;
		place = i % (WORLD - LASTING);
		seed = (unsigned long)time(NULL) * 1000003 + getpid();
		while (!over())
			act();
		exit(0);
	}

	/* Until all have had their hits, one has failed, or time is over. */
	for (;;) {
		bool enough = true;

		for (int i = 0; i < count; i++)
			enough &= atomic_load(&shared->hits[i]) >= actors[i].goal;
		for (int i = 0; i < count; i++) {
			if (actors[i].pid && waitpid(actors[i].pid, &status, WNOHANG) == actors[i].pid) {
				printf("%s ended with status %x\n", actors[i].name, status);
				actors[i].pid = 0;
				failed = 1;
			}
		}
		if (enough || failed || time(NULL) > end)
			break;
		usleep(20000);
	}
	atomic_store(&shared->over, true);
	/* Whatever they are in the midst of comes to its end. */
	end = time(NULL) + atol(argv[1]);
	for (int i = 0; i < count; i++) {
		while (actors[i].pid) {
			if (waitpid(actors[i].pid, &status, WNOHANG) == actors[i].pid) {
				failed |= status != 0;
				actors[i].pid = 0;
			} else if (time(NULL) > end) {
				printf("%s does not end\n", actors[i].name);
				kill(actors[i].pid, SIGKILL);
				failed = 1;
				break;
			} else {
				usleep(5000);
			}
		}
	}
	for (int i = 0; i < count; i++) {
		long hits = atomic_load(&shared->hits[i]);

		printf("%s%s%s %ld", i ? ", " : "hits: ", actors[i].name,
		       *actors[i].argument == '/' ? strrchr(actors[i].argument, '/') : "", hits);
		if (hits < actors[i].goal) {
			printf(" of %ld", actors[i].goal);
			failed = 1;
		}
	}
	putchar('\n');
	return failed;
usage:
	fprintf(stderr, "race: see the head of tests/race.c\n");
	return 2;
}
