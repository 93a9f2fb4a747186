// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the loads of tests/loads.guest are made of, where busybox has nothing. Built statically by
 * scripts/build.sh. Each goes on until it is killed, but for the last one.
 *
 * Memory, processor, files.
 *   waves MIB STEP_MS       grows to so much memory, a MiB each step, stays for a second, gives all back
 *   resize MIB              one block, to which realloc() gives other sizes
 *   blocks N                N small blocks, of which some are freed and allocated anew, in bursts
 *   spin                    counts
 *   file FILE MIB           writes so much, reads it, deletes it, pauses
 *
 * Others.
 *   wake MS                 sleeps, and does next to nothing in between
 *   client PORT KIND        asks a web server on this machine for small files: KIND is steady, bursts or pauses
 *   watch PID FILE          writes the PID of each new descendant of PID to FILE
 *   source SEED             prints a program in C
 */

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MIB (1L << 20)
/* More PIDs than a guest of two processors hands out. */
#define NUMBERS 32769

static void __attribute__((noreturn)) fail(const char *what)
{
	fprintf(stderr, "loads: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: loads LOAD [ARGUMENT...]; the head of tests/loads.c names them\n");
	exit(2);
}

static long number(const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0)
		usage();
	return n;
}

static void sleep_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&ts, NULL);
}

/* A number from LEAST to MOST. */
static long any(long least, long most)
{
	return least + random() % (most - least + 1);
}

static void *allocated(void *memory)
{
	if (!memory)
		fail("memory");
	return memory;
}

static void touch(char *memory, long from, long to)
{
	long page = sysconf(_SC_PAGESIZE);

	for (; from < to; from += page)
		((volatile char *)memory)[from] = from;
}

static void waves(long mib, long step)
{
	for (;;) {
		// By mmap(), so that it is given back at once.
		char *memory = allocated(malloc(mib * MIB));

		for (long i = 0; i < mib; i++) {
			touch(memory, i * MIB, (i + 1) * MIB);
			sleep_ms(step);
		}
		sleep_ms(1000);
		free(memory);
		sleep_ms(any(500, 2000));
	}
}

static void resize(long mib)
{
	char *memory = NULL;
	long size = 0, next;

	for (;; size = next) {
		next = any(1, mib) * MIB;
		memory = allocated(realloc(memory, next));
		touch(memory, size, next);
		sleep_ms(any(20, 500));
	}
}

static void blocks(long count)
{
	char **block = allocated(calloc(count, sizeof(*block)));

	for (;;) {
		for (long n = any(1, 2 * count); n; n--) {
			long i = any(0, count - 1), size = any(16, 16384);

			free(block[i]);
			block[i] = memset(allocated(malloc(size)), 1, size);
		}
		sleep_ms(any(10, 1000));
	}
}

static void spin(void)
{
	volatile int over = 0;

	while (!over)
		;
}

static void file(const char *name, long mib)
{
	char *buffer = memset(allocated(malloc(65536)), 1, 65536);

	for (;;) {
		int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);

		if (fd < 0)
			fail(name);
		for (long i = 0; i < mib * 16; i++)
			if (write(fd, buffer, 65536) != 65536)
				fail(name);
		fsync(fd);
		lseek(fd, 0, SEEK_SET);
		while (read(fd, buffer, 4096) > 0)
			;
		close(fd);
		unlink(name);
		sleep_ms(any(0, 1500));
	}
}

static void wake(long ms)
{
	sleep_ms(any(0, ms));
	for (;;) {
		getppid();
		sleep_ms(ms);
	}
}

static void get(long port, long n)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port) };
	char text[16384];
	int fd = socket(AF_INET, SOCK_STREAM, 0), length;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		fail("connect");
	length = snprintf(text, sizeof(text), "GET /%ld HTTP/1.0\r\n\r\n", n);
	if (write(fd, text, length) != length || read(fd, text, sizeof(text)) < 12 || strncmp(text + 9, "200", 3))
		fail("GET");
	while (read(fd, text, sizeof(text)) > 0)
		;
	close(fd);
}

static void client(long port, const char *kind)
{
	for (;;) {
		long requests = 1, pause = 50;

		if (!strcmp(kind, "bursts")) {
			requests = any(20, 200);
			pause = any(1000, 5000);
		} else if (!strcmp(kind, "pauses")) {
			pause = any(100, 3000);
		} else if (strcmp(kind, "steady")) {
			usage();
		}
		while (requests--)
			get(port, any(1, 9));
		sleep_ms(pause);
	}
}

/* The parent of a process, or 0 if there is none any more. */
static long parent(const char *pid)
{
	char name[300], text[512], *behind;
	int fd;
	ssize_t got;

	snprintf(name, sizeof(name), "/proc/%s/stat", pid);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[got > 0 ? got : 0] = 0;
	behind = strrchr(text, ')');
	return behind ? strtol(behind + 4, NULL, 10) : 0;
}

static void watch(long root, const char *name)
{
	enum { UNKNOWN, OURS, OTHER };
	static char known[NUMBERS], seen[NUMBERS];
	int fd = open(name, O_WRONLY);

	if (fd < 0)
		fail(name);
	for (known[root] = OURS;; sleep_ms(20)) {
		DIR *folder = opendir("/proc");

		if (!folder)
			fail("/proc");
		memset(seen, 0, sizeof(seen));
		for (struct dirent *entry; (entry = readdir(folder));) {
			char line[32];
			long pid;

			if (!isdigit(entry->d_name[0]))
				continue;
			pid = strtol(entry->d_name, NULL, 10);
			if (pid >= NUMBERS)
				continue;
			seen[pid] = 1;
			if (known[pid])
				continue;
			known[pid] = known[parent(entry->d_name)] == OURS ? OURS : OTHER;
			if (known[pid] != OURS)
				continue;
			// It may be gone by now.
			(void)!write(fd, line, snprintf(line, sizeof(line), "%ld\n", pid));
		}
		closedir(folder);
		// Numbers are used again.
		for (long pid = 0; pid < NUMBERS; pid++)
			if (!seen[pid] && pid != root)
				known[pid] = UNKNOWN;
	}
}

static int source(long seed)
{
	long functions;

	srandom(seed);
	functions = any(2, 6);
	printf("#include <ctype.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\n"
	       "struct node { struct node *next, *other; unsigned key; char name[24]; };\n\n");
	for (int f = 0; f < functions; f++) {
		long cases = any(4, 12);

		printf("unsigned work%ld_%d(struct node *list, unsigned n)\n{\n\tunsigned sum = n, table[%ld] = { 0 };\n\n"
		       "\tfor (struct node *at = list; at; at = n %% %ld ? at->next : at->other) {\n"
		       "\t\tfor (char *c = at->name; *c; c++)\n\t\t\tsum = sum * %ldu + (isalpha(*c) ? toupper(*c) : %ld);\n"
		       "\t\tswitch ((at->key ^ sum) %% %ld) {\n", seed, f, any(8, 64), any(2, 9), any(3, 999), any(1, 99), cases);
		for (int i = 0; i < cases; i++)
			printf("\t\tcase %d: sum ^= at->key << %ld; table[sum %% (sizeof(table) / sizeof(*table))] += sum / %ldu; break;\n",
			       i, any(1, 15), any(2, 77));
		printf("\t\t}\n\t\tif (strlen(at->name) > %ld && !strncmp(at->name, \"%ld\", 3))\n"
		       "\t\t\tsnprintf(at->name, sizeof(at->name), \"%%u of %%u\", sum, n++);\n\t}\n"
		       "\tfor (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++)\n"
		       "\t\tfor (unsigned j = i; j; j /= 2)\n\t\t\tsum += table[i] * table[j] %% %ldu;\n",
		       any(2, 20), any(100, 999), any(5, 500));
		if (f)
			printf("\treturn n > %ld ? sum : work%ld_%ld(list, n + sum %% 7);\n}\n\n", any(9, 90), seed, any(0, f - 1));
		else
			printf("\treturn sum;\n}\n\n");
	}
	printf("unsigned part%ld(struct node *list)\n{\n\treturn work%ld_%ld(list, %ld);\n}\n", seed, seed,
	       functions - 1, any(1, 9));
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	srandom(getpid());
	if (!strcmp(what, "waves") && argc == 4)
		waves(number(argv[2]), number(argv[3]));
	else if (!strcmp(what, "resize") && argc == 3)
		resize(number(argv[2]));
	else if (!strcmp(what, "blocks") && argc == 3)
		blocks(number(argv[2]));
	else if (!strcmp(what, "spin") && argc == 2)
		spin();
	else if (!strcmp(what, "file") && argc == 4)
		file(argv[2], number(argv[3]));
	else if (!strcmp(what, "wake") && argc == 3)
		wake(number(argv[2]));
	else if (!strcmp(what, "client") && argc == 4)
		client(number(argv[2]), argv[3]);
	else if (!strcmp(what, "watch") && argc == 4)
		watch(number(argv[2]), argv[3]);
	else if (!strcmp(what, "source") && argc == 3)
		return source(number(argv[2]));
	usage();
}
