/* A thread reads sectors into a buffer that shares its page with others; another forks. */
#include "common.h"

static int fd;
static char *buffer;

static void *reader(void *arg)
{
	(void)arg;
	for (int i = 0; i < 8; i++)
		must(pread(fd, buffer, 512, i * 512), "pread");
	return NULL;
}

int main(void)
{
	pthread_t thread;

	kernel();
	fd = direct(O_RDONLY);
	buffer = pages(1);
	memset(buffer, 1, PAGE);
	pthread_create(&thread, NULL, reader, NULL);
	for (int i = 0; i < 4; i++) {
		pid_t pid = child();
		buffer[1024] = i;
		must(waitpid(pid, NULL, 0), "waitpid");
	}
	pthread_join(thread, NULL);
	return 0;
}
