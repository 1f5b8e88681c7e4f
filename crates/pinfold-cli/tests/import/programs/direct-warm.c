/* A buffer is read into by direct I/O twice: alone, and while another thread forks. */
#include "common.h"

static char *buffer;

static void *forker(void *arg)
{
	(void)arg;
	pid_t pid = child();
	buffer[1024] = 2;
	must(waitpid(pid, NULL, 0), "waitpid");
	return NULL;
}

int main(void)
{
	pthread_t thread;

	kernel();
	int fd = direct(O_RDONLY);
	buffer = pages(1);
	memset(buffer, 1, PAGE);
	must(pread(fd, buffer, 512, 0), "pread");
	pthread_create(&thread, NULL, forker, NULL);
	must(pread(fd, buffer, 512, 512), "pread");
	pthread_join(thread, NULL);
	return 0;
}
